using Hecatonchire.Bench.Suite;
using Xunit;

namespace Hecatonchire.Tests.Bench.Suite;

public sealed class SuiteAmountsTests
{
    private static readonly SuiteSettings Settings = new() { SizeBytes = 64 << 20 };

    [Theory]
    [InlineData(SuiteWork.RandomWalk, 12_345.0, 5.0, 61_000)]
    [InlineData(SuiteWork.RandomWalk, 10.0, 5.0, 10_000)]
    [InlineData(SuiteWork.RandomWalk, 1e9, 5.0, 130_000)]
    [InlineData(SuiteWork.Fault, 1000.0, 5.0, 5_000)]
    [InlineData(SuiteWork.Fault, 1e9, 5.0, 16_000)]
    [InlineData(SuiteWork.Fault, 1.0, 5.0, 1_000)]
    [InlineData(SuiteWork.Scan, 10_000.0, 5.0, 3)]
    [InlineData(SuiteWork.Scan, 1e9, 5.0, 4)]
    [InlineData(SuiteWork.Scan, 1.0, 5.0, 1)]
    internal void The_slowest_system_has_the_time_within_bounds(SuiteWork work, double perSecond, double seconds, long amount) =>
        Assert.Equal(amount, SuiteAmounts.For(Row(work, Settings), perSecond, seconds));

    [Fact]
    public void Without_any_trial_it_is_the_least() => Assert.Equal(10_000, SuiteAmounts.For(Row(SuiteWork.RandomWalk, Settings), null, 5));

    [Fact]
    public void The_slowest_system_that_works_is_tried_in_a_smaller_memory()
    {
        var large = new SuiteSettings { SizeBytes = 1L << 30 };
        SuiteRow row = Row(SuiteWork.RandomWalk, large);
        (SuiteCell cell, SuiteSettings settings, long _) = SuiteAmounts.Trial(row, large, new HashSet<string>())!.Value;
        Assert.Equal(("disk-swap", 128L << 20), (cell.System, settings.SizeBytes));
        Assert.Equal("zram-lzo-rle", SuiteAmounts.Trial(row, large, new HashSet<string> { "disk-swap", "zswap" })!.Value.Cell.System);
        Assert.Null(SuiteAmounts.Trial(row with { Systems = ["floor"] }, large, new HashSet<string>()));
    }

    /// <summary>The fault benchmark touches no page twice.</summary>
    [Fact]
    public void A_trial_never_has_more_touches_than_pages()
    {
        var smallest = new SuiteSettings { SizeBytes = SuiteSettings.SizeMin };
        Assert.Equal(4096, SuiteAmounts.Trial(Row(SuiteWork.Fault, smallest), smallest, new HashSet<string>())!.Value.Amount);
    }

    [Theory]
    [InlineData(SuiteScale.Full, false)]
    [InlineData(SuiteScale.Quick, true)]
    [InlineData(SuiteScale.Check, true)]
    internal void Only_the_whole_suite_depends_on_the_host(SuiteScale scale, bool isFixed) =>
        Assert.All(SuiteMatrix.Rows(Settings with { Scale = scale }), row => Assert.Equal(isFixed, SuiteAmounts.Fixed(row, scale) is not null));

    [Fact]
    public void What_earlier_rounds_took_is_expected_again()
    {
        var estimate = new SuiteEstimate(Settings);
        SuiteCell seen = Row(SuiteWork.RandomWalk, Settings).Cell("heca")!, other = Row(SuiteWork.Quicksort, Settings).Cell("heca")!;
        double guess = estimate.Of(other);
        estimate.Saw(seen, 400);
        estimate.Saw(seen, 600);
        Assert.Equal(500, estimate.Of(seen));
        Assert.True(estimate.Of(other) > 2 * guess, "a host that is slower at one thing is at another");
    }

    private static SuiteRow Row(SuiteWork work, SuiteSettings settings) => SuiteMatrix.Rows(settings).First(row => row.Work == work);
}
