using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Host;
using Hecatonchire.Lending;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Tests.Harness;
using Hecatonchire.Transport.Striped;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>A program whose pages are on two sponsors each is as fast as the faster one.</summary>
public class SlowSponsorTests
{
    private const int FaultsMeasured = 5000;
    private const int Rounds = 5;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    public SlowSponsorTests() => Capability.Require("userfaultfd", UserfaultfdOpening.Try().Opened, "this user may not open a userfaultfd: see `heca check`");

    /// <summary>
    /// Reads are to go to the other, and write-backs, which go to both, to be so many at a time that no fault waits for one. The same walk with and without the delay in turns,
    /// so that what else the host does matters to both; of the turns the median.
    /// </summary>
    [Fact]
    public void A_replica_that_is_slower_by_20_ms_does_not_make_faults_three_times_as_slow()
    {
        using var near = new SponsorProcess("256MiB");
        using var far = new SponsorProcess("256MiB");
        using var wire = new WireProxy(far, "127.0.0.2");
        using var paged = new PagedProgram(new Borrowing { Sponsors = [near.Endpoint, wire.Endpoint], Replicas = 2, ReadPolicy = ReadPolicy.ServiceTime }, "16MiB");
        using Process program = paged.Start(Programs.Test, ["walk", "64", "2", "60000"]);

        List<LatencyHistogram> healthy = [], slowed = [];
        for (int round = 0; round < Rounds; round++)
        {
            wire.Delay = TimeSpan.Zero;
            healthy.Add(Measure(paged, program));
            wire.Delay = TimeSpan.FromMilliseconds(10);
            slowed.Add(Measure(paged, program));
        }

        Assert.Equal("ok", program.StandardOutput.ReadLine());
        Assert.True(program.WaitForExit(s_deadline));
        Assert.Equal(0, paged.Host.Snapshot().PagesLost);

        string figures = $"microseconds: {Describe(healthy)}; with a slow replica {Describe(slowed)}";
        TestContext.Current.TestOutputHelper?.WriteLine(figures);
        Assert.True(Median(slowed, 0.99) <= 3 * Median(healthy, 0.99), figures);
    }

    /// <summary>Each of two sponsors stops answering for some milliseconds now and then, in turns: who reads from the one that has stopped has the page of the other.</summary>
    [Fact]
    public void A_read_that_is_late_is_answered_by_the_other_replica_and_few_are_asked_twice()
    {
        using var one = new SponsorProcess("256MiB");
        using var other = new SponsorProcess("256MiB");
        using WireProxy first = new(one, "127.0.0.2"), second = new(other, "127.0.0.3");
        using var paged = new PagedProgram(new Borrowing { Sponsors = [first.Endpoint, second.Endpoint], Replicas = 2 }, "16MiB");
        using (new Stalls(first, second))
        {
            (int exitCode, string output, string error) = paged.Run(Programs.Test, ["walk", "64", "2", "10000"]);
            Assert.True(exitCode == 0 && output == "ok\n", output + error);
        }

        PagerSnapshot figures = paged.Host.Snapshot();
        Assert.Equal(0, figures.PagesLost);
        Assert.InRange(figures.HedgesWon, 1, figures.ReadsHedged);
        Assert.InRange(figures.ReadsHedged, 1, (figures.PagesIn / 32) + 8);
    }

    /// <summary>What a second read is worth: the same walk under the same stalls without it and with it, in turns.</summary>
    [Fact(Explicit = true)]
    public void Figures_of_faults_while_sponsors_stop_now_and_then()
    {
        using var one = new SponsorProcess("256MiB");
        using var other = new SponsorProcess("256MiB");
        using WireProxy first = new(one, "127.0.0.2"), second = new(other, "127.0.0.3");
        List<LatencyHistogram>[] measured = [[], [], [], []];
        long read = 0, hedged = 0, won = 0;
        for (int round = 0; round < Rounds; round++)
        {
            foreach (int variant in (int[])[0, 1, 2, 3])
            {
                (bool hedges, bool stalls) = (variant % 2 == 1, variant > 1);
                using var paged = new PagedProgram(new Borrowing { Sponsors = [first.Endpoint, second.Endpoint], Replicas = 2, Hedge = hedges }, "16MiB");
                using Process program = paged.Start(Programs.Test, ["walk", "64", "2", "60000"]);
                using Stalls? stopping = stalls ? new Stalls(first, second) : null;
                measured[variant].Add(Measure(paged, program));
                program.Kill();
                Assert.True(program.WaitForExit(s_deadline));
                PagerSnapshot figures = paged.Host.Snapshot();
                (read, hedged, won) = stalls && hedges ? (read + figures.HardFaults, hedged + figures.ReadsHedged, won + figures.HedgesWon) : (read, hedged, won);
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"microseconds\nno stalls, one read: {Describe(measured[0])}\nno stalls, hedged: {Describe(measured[1])}\n"
            + $"stalls, one read: {Describe(measured[2])}\nstalls, hedged: {Describe(measured[3])} ({hedged} of {read} faults, {won} won)");
    }

    /// <summary>Two sponsors that stop for 10 ms in turns, one of them each 100 ms.</summary>
    private sealed class Stalls : IDisposable
    {
        private readonly ManualResetEventSlim _end = new();
        private readonly Thread _thread;

        public Stalls(WireProxy first, WireProxy second)
        {
            _thread = new Thread(() =>
            {
                for (WireProxy wire = first; !_end.Wait(90); wire = wire == first ? second : first)
                {
                    wire.Delay = TimeSpan.FromMilliseconds(10);
                    _ = _end.Wait(10);
                    wire.Delay = TimeSpan.Zero;
                }
            });
            _thread.Start();
        }

        public void Dispose()
        {
            _end.Set();
            _thread.Join();
            _end.Dispose();
        }
    }

    /// <summary>Of so many faults that need a sponsor, after some that tell the pager how its sponsors are.</summary>
    private static LatencyHistogram Measure(PagedProgram paged, Process program)
    {
        WaitForFaults(paged, program, FaultsMeasured / 4);
        paged.Host.ResetMeasurements();
        WaitForFaults(paged, program, FaultsMeasured);
        var latencies = new LatencyHistogram();
        paged.Host.CopyLatencies(latencies);
        return latencies;
    }

    private static void WaitForFaults(PagedProgram paged, Process program, long faults)
    {
        long end = paged.Host.Snapshot().HardFaults + faults;
        Assert.True(SpinWait.SpinUntil(() => paged.Host.Snapshot().HardFaults >= end || program.HasExited, s_deadline), "the walk does not go on");
        Assert.False(program.HasExited, "the walk was too short");
    }

    private static double Median(List<LatencyHistogram> rounds, double share) => rounds.Select(round => round.Percentile(share)).Order().ElementAt(rounds.Count / 2) / 1000.0;

    private static string Describe(List<LatencyHistogram> rounds) => string.Join(
        ", ", ((double[])[0.5, 0.9, 0.99, 0.999]).Select(share => string.Create(CultureInfo.InvariantCulture, $"p{share * 100:0.#} {Median(rounds, share):0.0}")));
}
