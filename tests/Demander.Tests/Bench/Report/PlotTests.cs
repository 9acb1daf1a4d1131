using System.Globalization;
using System.Xml.Linq;
using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Report.Plots;
using Xunit;

namespace Hecatonchire.Tests.Bench.Report;

public sealed class PlotTests
{
    [Theory]
    [InlineData(0, 7, "0 2 4 6 8")]
    [InlineData(0, 1_048_609, "0 200 k 400 k 600 k 800 k 1 M 1.2 M")]
    [InlineData(0, 0.03, "0 0.01 0.02 0.03")]
    [InlineData(1, 2.9, "1 1.5 2 2.5 3")]
    [InlineData(1, 1, "1 1.01")]
    public void Linear_axes_end_at_round_numbers(double from, double max, string ticks)
    {
        PlotAxis axis = PlotAxis.Linear("", max, from);
        Assert.Equal(ticks, string.Join(' ', axis.Ticks.Select(t => t.Label)));
        Assert.Equal((0, 1), (axis.Place(from), Math.Round(axis.Place(axis.Ticks[^1].Value), 9)));
        Assert.InRange(axis.Place(max), 0, 1);
    }

    [Theory]
    [InlineData(8.0, 1550.0, "5 10 20 50 100 200 500 1000 2000")]
    [InlineData(10.0, 10.0, "10 20")]
    [InlineData(0.25, 1550.0, "0.1 1 10 100 1000 10 k")]
    public void Logarithmic_axes_have_values_in_equal_steps(double min, double max, string ticks)
    {
        PlotAxis axis = PlotAxis.Log("", min, max);
        Assert.Equal(ticks, string.Join(' ', axis.Ticks.Select(t => t.Label)));
        double first = axis.Ticks[0].Value;
        Assert.Equal(axis.Place(first * 10) - axis.Place(first), axis.Place(first * 100) - axis.Place(first * 10), 9);
    }

    [Fact]
    public void Each_nine_of_a_percentile_takes_the_same_room()
    {
        PlotAxis axis = PlotAxis.Percentiles("", 99.99);
        Assert.Equal([0, 0.25, 0.5, 0.75, 1], new[] { 0, 90, 99, 99.9, 99.99 }.Select(p => Math.Round(axis.Place(p), 6)));
        Assert.Equal(["0", "p50", "p90", "p99"], PlotAxis.Percentiles("", 99).Ticks.Select(t => t.Label));
    }

    [Fact]
    public void Marks_lie_where_their_values_are()
    {
        Plot plot = Line([(0, 0, 0), (1, 5, 5), (2, 10, 10)]);
        XElement picture = PlotDrawing.Draw(plot);
        double[][] ticks = [.. Of(picture, "tick").Select(Place)];
        XElement line = Assert.Single(Of(picture, "line"));
        double[][] points = [.. line.Attribute("d")!.Value[1..].Split('L').Select(p => p.Split(' ').Select(n => double.Parse(n, CultureInfo.InvariantCulture)).ToArray())];
        Assert.Equal(3, points.Length);

        // Below each name; at the height of 0, in the middle, and at the height of 10.
        Assert.Equal(ticks[..3].Select(t => t[0]), points.Select(p => p[0]));
        double[] heights = [.. ticks[3..].Select(t => t[1] - 4)];
        Assert.Equal([heights[0], (heights[0] + heights[^1]) / 2, heights[^1]], points.Select(p => p[1]));
    }

    [Fact]
    public void A_bar_goes_from_the_least_to_the_greatest_and_none_without_spread()
    {
        XElement picture = PlotDrawing.Draw(Line([(0, 2, 8), (1, 5, 5), (2, 0, 10)]));
        Assert.Equal(2, Of(picture, "bar").Count());
        Assert.Equal(3, Of(picture, "mark").Count());
        Assert.Equal("0 (2..8)", Of(picture, "mark").First().Elements().Single().Value);
    }

    [Fact]
    public void Series_without_points_are_not_named()
    {
        Plot plot = Line([(0, 2, 8)]);
        plot = plot with { Series = [.. plot.Series, new PlotSeries("floor", "floor", [])] };
        Assert.Equal(["heca"], Of(PlotDrawing.Draw(plot), "label").Select(label => label.Value));
    }

    [Theory]
    [InlineData(new double[] { 10, 12, 14 }, new double[] { 10, 26, 42 })]
    [InlineData(new double[] { 10, 50, 90 }, new double[] { 10, 50, 90 })]
    [InlineData(new double[] { 95, 97, 99 }, new double[] { 67, 83, 99 })]
    [InlineData(new double[] { -5, 200 }, new double[] { 0, 99 })]
    [InlineData(new double[0], new double[0])]
    public void Labels_do_not_overlap(double[] wanted, double[] places) => Assert.Equal(places, PlotDrawing.Apart(wanted, 16, 0, 99));

    [Theory]
    [InlineData(0.0, "0.00")]
    [InlineData(0.0123, "0.0123")]
    [InlineData(0.5, "0.50")]
    [InlineData(9.994, "9.99")]
    [InlineData(12.34, "12.3")]
    [InlineData(1234.5, "1,234")]
    public void Figures_have_the_digits_that_mean_something(double value, string text) => Assert.Equal(text, Figure.Significant(value));

    private static Plot Line((double X, double Low, double High)[] points) => new(
        "a plot",
        PlotAxis.Names("names", ["a", "b", "c"]),
        PlotAxis.Linear("numbers", 10),
        [new PlotSeries("heca", "heca", [.. points.Select(p => new PlotPoint(p.X, (p.Low + p.High) / 2, p.Low, p.High, $"{p.X} ({p.Low}..{p.High})"))])]);

    private static IEnumerable<XElement> Of(XElement picture, string className) => picture.Descendants().Where(e => e.Attribute("class")?.Value == className);

    private static double[] Place(XElement text) => [.. new[] { "x", "y" }.Select(name => double.Parse(text.Attribute(name)!.Value, CultureInfo.InvariantCulture))];
}
