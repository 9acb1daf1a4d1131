using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Hecatonchire.Host;
using Hecatonchire.Status;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>What programs see when the network to a sponsor loses all there is, and tells nobody: for a second, for ten, and for good.</summary>
public sealed partial class PartitionTests : IDisposable
{
    /// <summary>The slowest fault where another sponsor has the page: what a person at the program would not call standing still.</summary>
    private const double FaultMsMax = 500;

    /// <summary>On a machine that others share without this one's load average knowing of it (CI=1): still far from what it would be if a timer were waited for.</summary>
    private const double SharedFaultMsMax = 2000;

    /// <summary>Of the load average, per core: this test alone makes three. With more, who is ready to run waits for a core longer than faults may take, and times tell nothing.</summary>
    private const double LoadMax = 5;

    /// <summary>A sponsor that does not answer is given up after twenty seconds, which begin ten after the last sign of it where it has the only copy.</summary>
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(90);

    private readonly List<SponsorNamespace> _hosts = [];
    private readonly List<SponsorProcess> _sponsors = [];
    private readonly List<Process> _runs = [];

    public PartitionTests()
    {
        Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");
        SponsorNamespace.Require();
    }

    public void Dispose()
    {
        foreach (Process run in _runs)
        {
            if (!run.HasExited)
            {
                run.Kill(entireProcessTree: true);
            }

            run.Dispose();
        }

        _sponsors.ForEach(sponsor => sponsor.Dispose());
        _hosts.ForEach(host => host.Dispose());
    }

    /// <summary>
    /// One test, for most of it is waiting. A program whose pages are on two of three sponsors each goes on whichever is cut off; beside it, a program that has only that
    /// sponsor waits for it; and one that has only a fourth is told in the end that it has lost its pages.
    /// </summary>
    [Fact]
    public void A_sponsor_is_out_of_reach_for_a_second_for_ten_and_for_good()
    {
        StartSponsors(4);
        Process robbed = Start(_sponsors[3..], ["--local", "8MiB"], Programs.Test, "lost", "64");
        Assert.Equal("ready", LineOf(robbed));
        _hosts[3].Cut();
        robbed.StandardInput.WriteLine();

        // Small stripes, for each sponsor is to have pages that the walk asks for: who is asked for nothing is not missed.
        Process replicated = Start(_sponsors[..3], ["--local", "16MiB", "--replicas", "2", "--stripe", "4MiB", "--stats"], Programs.Unaware, "walk", "64", "64", "input");
        WaitFor(replicated, report => report.RemoteBytes > 32 << 20, "nothing becomes remote");
        OutOfReach(0, TimeSpan.FromSeconds(1), replicated);
        OutOfReach(1, TimeSpan.FromSeconds(10), replicated);
        _hosts[2].Cut();
        WaitFor(replicated, report => report is { Sponsors: 2, SponsorsLost: 1, StripesLacking: 0 }, "the third is not given up, or what it had is not whole again");

        // All that it has is with sponsors now that were out of reach themselves.
        string told = End(replicated);
        double slowest = SlowestFaultMs(told);
        TestContext.Current.TestOutputHelper?.WriteLine($"slowest fault {slowest} ms, load {Load()}");
        Assert.InRange(slowest, 0, Load() >= LoadMax ? double.MaxValue : Environment.GetEnvironmentVariable("CI") == "1" ? SharedFaultMsMax : FaultMsMax);
        Assert.Contains($"ponsor {_sponsors[2].Endpoint.Host}:{_sponsors[2].Endpoint.Port} is lost", told, StringComparison.Ordinal);

        Assert.Equal("SIGBUS", LineOf(robbed));
        Assert.True(robbed.WaitForExit(s_deadline));
        Assert.Equal(1, robbed.ExitCode);
        Assert.Matches(
            $@"sponsor {Regex.Escape(_sponsors[3].Endpoint.Host)}:{_sponsors[3].Endpoint.Port} is lost \(.*\): \d+ pages had their only copy there",
            robbed.StandardError.ReadToEnd());
    }

    /// <summary>Cuts a sponsor off for so long. Who has only that one stands still meanwhile, and goes on; who has others has it again afterwards.</summary>
    private void OutOfReach(int sponsor, TimeSpan time, Process replicated)
    {
        Process alone = Start([_sponsors[sponsor]], ["--local", "8MiB", "--stats"], Programs.Unaware, "walk", "32", "64", "input");
        WaitFor(alone, report => report.RemoteBytes > 16 << 20, "nothing becomes remote");
        long rebuilt = Report(replicated).Reconnects;

        _hosts[sponsor].Cut();
        long cut = Stopwatch.GetTimestamp();
        long still = -1;
        WaitFor(alone, now => still == (still = now.PagesIn), "it goes on, from where?");
        Assert.False(alone.WaitForExit(Max(TimeSpan.Zero, time - Stopwatch.GetElapsedTime(cut))), "it did not wait for its sponsor");
        Assert.Equal(still, Report(alone).PagesIn);
        _hosts[sponsor].Join();

        WaitFor(alone, now => now.PagesIn > still + 1000, "it does not go on");
        _ = End(alone);
        WaitFor(
            replicated,
            report => report is { Sponsors: 3, SponsorsLost: 0, StripesLacking: 0 } && report.Reconnects > rebuilt,
            $"sponsor {sponsor} is not used again");
    }

    private static TimeSpan Max(TimeSpan one, TimeSpan other) => one > other ? one : other;

    private void StartSponsors(int count)
    {
        for (int i = 0; i < count; i++)
        {
            _hosts.Add(new SponsorNamespace());
            _sponsors.Add(new SponsorProcess(_hosts[i], "512MiB"));
        }
    }

    private Process Start(IReadOnlyList<SponsorProcess> sponsors, string[] options, params string[] program)
    {
        Process run = HecaRun.Start(sponsors, "", [.. options, "--", .. program]);
        _runs.Add(run);
        return run;
    }

    /// <summary>A walk is told to end, and all its bytes are right. Returns what was said on standard error.</summary>
    private static string End(Process run)
    {
        Task<string> told = run.StandardError.ReadToEndAsync();
        run.StandardInput.Close();
        Assert.Equal("ok", LineOf(run));
        Assert.True(run.WaitForExit(s_deadline), "it does not end");
        Assert.Equal(0, run.ExitCode);
        Assert.Contains(" 0 lost", told.Result, StringComparison.Ordinal);
        TestContext.Current.TestOutputHelper?.WriteLine(told.Result);
        return told.Result;
    }

    private static string? LineOf(Process run)
    {
        Task<string?> line = run.StandardOutput.ReadLineAsync();
        Assert.True(line.Wait(s_deadline), "it says nothing");
        return line.Result;
    }

    private static double SlowestFaultMs(string stats)
    {
        Match slowest = SlowestPattern().Match(stats);
        Assert.True(slowest.Success, stats);
        return double.Parse(slowest.Groups[1].Value, CultureInfo.InvariantCulture) / 1000;
    }

    private static double Load() => double.Parse(File.ReadAllText("/proc/loadavg").Split(' ')[0], CultureInfo.InvariantCulture) / Environment.ProcessorCount;

    private static StatusReport Report(Process run) => WaitFor(run, _ => true, "it does not tell how it is");

    /// <summary>Asks until what is told is so; on a busy host not every question is answered in time.</summary>
    private static StatusReport WaitFor(Process run, Predicate<StatusReport> condition, string otherwise)
    {
        StatusReport? last = null;
        for (long end = Environment.TickCount64 + (long)s_deadline.TotalMilliseconds; Environment.TickCount64 < end; Thread.Sleep(100))
        {
            Assert.False(run.HasExited, "it has ended");
            if (StatusDirectory.Ask().Find(report => report.Pager == run.Id) is { } report)
            {
                last = report;
                if (condition(report))
                {
                    return report;
                }
            }
        }

        Assert.Fail(
            $"{otherwise}: of {last?.Sponsors} sponsors {last?.SponsorsLost} lost, {last?.SponsorsSilent} silent; {last?.Reconnects} reconnects, {last?.StripesLacking} stripes lacking, {last?.RemoteBytes} bytes remote, {last?.PagesIn} pages in");
        return last!;
    }

    [GeneratedRegex(@"max ([\d.]+) us")]
    private static partial Regex SlowestPattern();
}
