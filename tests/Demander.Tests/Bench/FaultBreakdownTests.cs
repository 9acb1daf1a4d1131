using System.Diagnostics;
using Hecatonchire.Bench;
using Hecatonchire.Metrics;
using Xunit;

namespace Hecatonchire.Tests.Bench;

public class FaultBreakdownTests
{
    private static readonly long s_us = Stopwatch.Frequency / 1_000_000;

    [Fact]
    public void Stages_are_the_gaps_between_the_two_sides_times_and_a_row_below_is_all_of_them()
    {
        FaultTrace.Stages[] faults = [Fault(at: 0), Fault(at: 100), Fault(at: 200)];
        long[] touches = [100 * s_us, 122 * s_us, 200 * s_us, 222 * s_us];

        FaultStage[] stages = Assert.IsType<FaultStage[]>(FaultBreakdown.Of(faults, touches));

        Assert.Equal([3, 1, 2, 2, 6, 7, 1, 22, 8], stages.Select(stage => stage.P50));
        Assert.Equal(stages[..^2].Sum(stage => stage.Mean), stages[^2].Mean, 2);
        Assert.Equal(stages[..^2].Sum(stage => stage.SlowMean), stages[^2].SlowMean, 2);
    }

    [Fact]
    public void A_program_that_goes_on_before_the_pager_has_looked_at_its_clock_is_not_back_in_negative_time()
    {
        long[] touches = [100 * s_us, 119 * s_us];

        FaultStage[] stages = Assert.IsType<FaultStage[]>(FaultBreakdown.Of([Fault(at: 100)], touches));

        Assert.Equal(0, stages[^3].P50);
        Assert.Equal(19, stages[^2].P50);
    }

    [Fact]
    public void A_touch_that_met_no_hard_fault_is_left_out_and_the_rest_still_fits()
    {
        FaultTrace.Stages[] faults = [.. Enumerable.Range(0, 20).Where(i => i != 7).Select(i => Fault(at: 100 * i))];
        long[] touches = [.. Enumerable.Range(0, 20).SelectMany(i => new[] { 100 * i * s_us, ((100 * i) + 22) * s_us })];

        FaultStage[] stages = Assert.IsType<FaultStage[]>(FaultBreakdown.Of(faults, touches));

        Assert.Equal([3, 1, 2, 2, 6, 7, 1, 22, 8], stages.Select(stage => stage.Mean));
    }

    [Fact]
    public void Faults_that_are_not_the_touches_make_no_breakdown()
    {
        Assert.Null(FaultBreakdown.Of([Fault(at: 0)], [100 * s_us, 122 * s_us]));
        Assert.Null(FaultBreakdown.Of([], [100 * s_us, 122 * s_us]));
        Assert.Null(FaultBreakdown.Of([Fault(at: 0)], []));
    }

    private static FaultTrace.Stages Fault(long at) => new()
    {
        Awake = (at + 3) * s_us,
        Read = (at + 4) * s_us,
        Posted = (at + 6) * s_us,
        Sent = (at + 8) * s_us,
        Received = (at + 14) * s_us,
        Installed = (at + 21) * s_us,
    };
}
