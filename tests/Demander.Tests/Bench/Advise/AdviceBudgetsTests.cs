using Hecatonchire.Bench.Advise;
using Xunit;

namespace Hecatonchire.Tests.Bench.Advise;

public sealed class AdviceBudgetsTests
{
    private const long MiB = 1 << 20;

    [Theory]
    [InlineData("100,75,50", "100 75 50")]
    [InlineData("25%, 50 %,25", "50 25")]
    [InlineData("12.5", "12.5")]
    [InlineData(AdviceBudgets.PercentsDefault, "115 100 75 50 33 25 20")]
    public void Percentages_are_taken_once_each_and_from_the_greatest(string text, string percents)
    {
        Assert.True(AdviceBudgets.TryParse(text, out IReadOnlyList<double> found));
        Assert.Equal(percents, string.Join(' ', found.Select(percent => FormattableString.Invariant($"{percent}"))));
    }

    [Theory]
    [InlineData("")]
    [InlineData("50,")]
    [InlineData("0")]
    [InlineData("-5")]
    [InlineData("200.5")]
    [InlineData("half")]
    [InlineData("1e1")]
    [InlineData("50;25")]
    public void What_is_no_percentage_is_refused(string text) => Assert.False(AdviceBudgets.TryParse(text, out _));

    /// <summary>Rounded up, to whole MiB of large programs and to 64 KiB of small ones; never below what a pager needs, and no size twice.</summary>
    [Theory]
    [InlineData(271 * MiB, "100,75,50,33,25,20", "271MiB 204MiB 136MiB 90MiB 68MiB 55MiB")]
    [InlineData((271 * MiB) + 4096, "100,50", "272MiB 136MiB")]
    [InlineData(64 * MiB, "100,99.9,50", "64MiB 32MiB")]
    [InlineData(10 * MiB, "100,33,25,10,5", "10MiB 3392KiB 2560KiB 1MiB")]
    [InlineData(3 * MiB, "100,50,33,20", "3MiB 1536KiB 1MiB")]
    [InlineData(MiB / 2, "100,50", "")]
    public void Budgets_are_sizes_that_can_be_given_to_local(long peakBytes, string percents, string budgets)
    {
        Assert.True(AdviceBudgets.TryParse(percents, out IReadOnlyList<double> found));
        IReadOnlyList<AdviceBudget> all = AdviceBudgets.Of(peakBytes, found);
        Assert.Equal(budgets, string.Join(' ', all.Select(budget => budget.Text)));
        Assert.All(all, budget => Assert.Equal(budget.Bytes, Hecatonchire.Units.ByteSize.Parse(budget.Text).Bytes));
    }

    [Theory]
    [InlineData(100 * MiB, 25, 50, "38MiB", 38)]
    [InlineData(100 * MiB, 49, 50, null, 0)]
    [InlineData(8 * MiB, 50, 75, "5MiB", 62.5)]
    public void Between_two_budgets_is_the_middle_unless_it_is_one_of_them(long peakBytes, double small, double large, string? text, double percent)
    {
        AdviceBudget? between = AdviceBudgets.Between(peakBytes, AdviceBudgets.Of(peakBytes, [small])[0], AdviceBudgets.Of(peakBytes, [large])[0]);
        Assert.Equal(text, between?.Text);
        Assert.Equal(percent, between?.Percent ?? 0);
    }
}
