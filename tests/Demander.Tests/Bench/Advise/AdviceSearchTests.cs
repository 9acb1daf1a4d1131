using System.Globalization;
using Hecatonchire.Bench.Advise;
using Xunit;
using static Hecatonchire.Tests.Bench.Advise.AdviceSamples;

namespace Hecatonchire.Tests.Bench.Advise;

/// <summary>Which budgets are measured of a program whose slowdown is known, and what the answer is.</summary>
public sealed class AdviceSearchTests
{
    /// <param name="curve">PERCENT:SLOWDOWN from the greatest; what lies between two is on the line between them.</param>
    [Theory]
    // All are measured as long as none is too slow.
    [InlineData("100:1 0:1", 1.1, 10, 0, "100 75 50 33 25 20", 20.0)]
    [InlineData("100:1 50:1 0:2", 1.1, 10, 0, "100 75 50 33 25 20", 50.0)]
    [InlineData("100:1 50:1.1 25:1.2 0:5", 1.1, 10, 0, "100 75 50 33 25 20", 50.0)]
    // The first that is too slow is the last.
    [InlineData("100:1 50:1 25:3 0:3", 1.1, 2, 0, "100 75 50 33", 50.0)]
    [InlineData("100:20 0:20", 1.1, 10, 0, "100", null)]
    // None is enough.
    [InlineData("100:1.5 0:2", 1.1, 10, 0, "100 75 50 33 25 20", null)]
    [InlineData("100:1.5 0:2", 1.1, 10, 2, "100 75 50 33 25 20", null)]
    // Halving, between the smallest that is enough and the next smaller one: 33 to 50, where the line says 40; and where all are enough, nothing.
    [InlineData("100:1 50:1 0:1.5", 1.1, 10, 1, "100 75 50 33 25 20 42", 42.0)]
    [InlineData("100:1 50:1 0:1.5", 1.1, 10, 2, "100 75 50 33 25 20 42 38", 42.0)]
    [InlineData("100:1 50:1 0:1.5", 1.13, 10, 2, "100 75 50 33 25 20 42 38", 38.0)]
    [InlineData("100:1 0:1", 1.1, 10, 2, "100 75 50 33 25 20", 20.0)]
    // Also where the next smaller one was too slow.
    [InlineData("100:1 50:1 25:30 0:30", 1.1, 10, 2, "100 75 50 33 42 46", 50.0)]
    public void Budgets_and_answer(string curve, double slowdown, double slowdownMax, int halvings, string measured, double? smallest)
    {
        var search = new AdviceSearch(100 * MiB, AdviceBudgets.Of(100 * MiB, Settings.Percents), slowdown, slowdownMax, halvings);
        List<AdvicePoint> points = [];
        while (search.Next(points) is { } budget)
        {
            points.Add(new AdvicePoint(budget, 2, [Run(2 * At(curve, budget.Percent))]) { IsBetween = !search.Planned.Contains(budget) });
            Assert.True(points.Count < 20, "it does not end");
        }

        Assert.Equal(measured, string.Join(' ', points.Select(point => point.Budget.Percent.ToString(CultureInfo.InvariantCulture))));
        Assert.Equal(smallest, search.Smallest(points)?.Budget.Percent);
    }

    [Theory]
    [InlineData(nameof(AdviceOutcome.Failed))]
    [InlineData(nameof(AdviceOutcome.Stopped))]
    public void After_a_run_that_did_not_end_well_nothing_smaller_is_tried_and_it_is_not_enough(string name)
    {
        AdviceOutcome outcome = Enum.Parse<AdviceOutcome>(name);
        var search = new AdviceSearch(100 * MiB, AdviceBudgets.Of(100 * MiB, Settings.Percents), 1.1, 10, 0);
        AdvicePoint[] points = [Point(100, 1), Point(75, [Run(2), Run(2, outcome)])];
        Assert.Equal(1, points[1].Slowdown);
        Assert.Null(search.Next(points));
        Assert.Equal(100, search.Smallest(points)!.Budget.Percent);
        Assert.Equal("88MiB", (search with { Halvings = 1 }).Next(points)?.Text);
    }

    /// <summary>Medians, to hundredths: what is shown is what is compared.</summary>
    [Theory]
    [InlineData(1.1, true, 1.0, 1.1, 30.0)]
    [InlineData(1.1, true, 1.104)]
    [InlineData(1.1, false, 1.106)]
    [InlineData(1.1, false, 1.0, 1.2, 1.2)]
    [InlineData(1.0, true, 0.9)]
    public void A_budget_is_enough_by_its_median(double accepted, bool isEnough, params double[] slowdowns) => Assert.Equal(isEnough, Point(50, slowdowns).Meets(accepted));

    private static double At(string curve, double percent)
    {
        double[][] places = [.. curve.Split(' ').Select(place => place.Split(':').Select(number => double.Parse(number, CultureInfo.InvariantCulture)).ToArray())];
        int next = Array.FindIndex(places, place => place[0] <= percent);
        return next == 0 ? places[0][1]
            : places[next][1] + ((places[next - 1][1] - places[next][1]) * (percent - places[next][0]) / (places[next - 1][0] - places[next][0]));
    }
}
