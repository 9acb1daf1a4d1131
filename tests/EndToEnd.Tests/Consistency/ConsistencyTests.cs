using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests.Consistency;

/// <summary>
/// Two programs that know what each of their pages has to be, while all that can happen to a program's memory happens to it, from a seed. HECA_SEED=n replays one;
/// HECA_SOAK=s is how many seconds events come (60).
/// </summary>
public class ConsistencyTests
{
    /// <summary>Three replicas on five sponsors, pages that are damaged.</summary>
    private const int UsualSeed = 484_205;

    private const int SIGSTOP = 19;
    private const int SIGCONT = 18;

    private static readonly TimeSpan s_progressEvery = TimeSpan.FromSeconds(20);

    private readonly List<string> _happened = [];
    private SoakCluster _cluster = null!;

    public ConsistencyTests()
    {
        Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");
        SponsorNamespace.Require();
    }

    [Fact]
    public void Whatever_happens_every_page_is_what_was_written_or_known_to_be_lost()
    {
        // `make soak` draws one; a change is not to fail for what an earlier one has done.
        int seed = Number("HECA_SEED") ?? (Number("HECA_SOAK") is null ? UsualSeed : Random.Shared.Next(1_000_000));
        TimeSpan time = TimeSpan.FromSeconds(Number("HECA_SOAK") ?? 60);
        using var interruption = new CancellationTokenSource();
        int signal = 0;
        void Interrupt(PosixSignalContext context)
        {
            context.Cancel = true;
            signal = context.Signal == PosixSignal.SIGTERM ? 15 : context.Signal == PosixSignal.SIGHUP ? 1 : 2;
            interruption.Cancel();
        }

        using (PosixSignalRegistration.Create(PosixSignal.SIGTERM, Interrupt))
        using (PosixSignalRegistration.Create(PosixSignal.SIGINT, Interrupt))
        using (PosixSignalRegistration.Create(PosixSignal.SIGHUP, Interrupt))
        {
            var schedule = new SoakSchedule(seed);
            Say($"seed {seed}: {schedule.Replicas} replicas on {schedule.Sponsors} sponsors, {(schedule.KillsPagers ? "pagers die" : "pages are damaged")}");
            try
            {
                long start = Stopwatch.GetTimestamp();
                using (_cluster = new SoakCluster(schedule, seed, interruption.Token))
                {
                    Say($"{Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s to begin");
                    Run(schedule, time, seed);
                }
            }
            catch (OperationCanceledException) when (signal != 0)
            {
                // All of it is gone now, and so will be who ran it.
                Environment.Exit(128 + signal);
            }
        }
    }

    private void Run(SoakSchedule schedule, TimeSpan time, int seed)
    {
        long start = Stopwatch.GetTimestamp(), told = start;
        try
        {
            foreach (SoakEvent next in schedule.Events())
            {
                TimeSpan ahead = next.At - Stopwatch.GetElapsedTime(start);
                if (Max(next.At, Stopwatch.GetElapsedTime(start)) + next.Length > time)
                {
                    break;
                }

                _cluster.Pass(Max(ahead, TimeSpan.Zero));
                Happened(next.ToString());
                CarryOut(next);
                if (Stopwatch.GetElapsedTime(told) > s_progressEvery)
                {
                    told = Stopwatch.GetTimestamp();
                    _cluster.Programs.ToList().ForEach(program => Say($"{program.Kind}, {program.Progress}"));
                }
            }

            _cluster.Pass(Max(time - Stopwatch.GetElapsedTime(start), TimeSpan.Zero));
            Say(_cluster.EndPrograms());
        }
        catch (SoakException e)
        {
            Assert.Fail(
                $"{e.Message}\nafter {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s; seed {seed}, replay with: make soak SEED={seed} SECONDS={time.TotalSeconds}\n"
                + $"{string.Join('\n', _happened)}\n{_cluster.Describe()}");
        }
    }

    private void CarryOut(SoakEvent what)
    {
        SponsorProcess sponsor = _cluster.Sponsors[what.Sponsor];
        SponsorProcess? other = what.Other < 0 ? null : _cluster.Sponsors[what.Other];
        switch (what.Kind)
        {
            case SoakEventKind.Kill:
                sponsor.Kill();
                other?.Kill();
                _cluster.WaitUntilLost(other is null ? 1 : 2);
                _cluster.Pass(what.Length);
                sponsor.StartAgain();
                other?.StartAgain();
                break;
            case SoakEventKind.Cut:
                _cluster.Hosts[what.Sponsor].Cut();
                _cluster.Pass(what.Length);
                _cluster.Hosts[what.Sponsor].Join();
                _cluster.PassUntilNoticed();
                break;
            case SoakEventKind.Stop:
                Assert.Equal(0, Libc.Kill(sponsor.Id, SIGSTOP));
                _cluster.Pass(what.Length);
                Assert.Equal(0, Libc.Kill(sponsor.Id, SIGCONT));
                _cluster.PassUntilNoticed();
                break;
            case SoakEventKind.Drain:
                Drain(what, other);
                break;
            case SoakEventKind.Offer:
                _cluster.Administer(what.Sponsor, "offer", "64MiB");
                _cluster.Pass(what.Length);
                _cluster.OfferAll(what.Sponsor);
                break;
            case SoakEventKind.Slow:
                _cluster.Wire.Delay = TimeSpan.FromMilliseconds(what.Amount);
                _cluster.Pass(what.Length);
                _cluster.Wire.Delay = TimeSpan.Zero;
                break;
            case SoakEventKind.FlipReads:
                _cluster.Wire.FlipsOfReads = what.Amount;
                _cluster.Pass(what.Length);
                _cluster.Wire.FlipsOfReads = 0;
                break;
            case SoakEventKind.FlipWrites:
                // Pages that are wrong there have one replica less, which nothing tells: not before all have been moved is the loss of another sponsor none.
                _cluster.Wire.FlipsOfWrites = what.Amount;
                _cluster.Pass(what.Length);
                _cluster.Wire.FlipsOfWrites = 0;
                Drain(what with { Length = TimeSpan.Zero }, null);
                break;
            case SoakEventKind.KillPager:
                _cluster.KillPager();
                other?.Kill();
                _cluster.Pass(what.Length);
                _cluster.StartPager();
                other?.StartAgain();
                break;
            case SoakEventKind.Takeover:
                _cluster.CalmDown();
                _cluster.StartPager("--takeover");
                break;
        }

        _cluster.WaitUntilWhole();
    }

    private void Drain(SoakEvent what, SponsorProcess? killed)
    {
        if (killed is not null)
        {
            _cluster.Administer(what.Sponsor, "offer", "0");
            killed.Kill();
            _cluster.WaitUntilLost(1);
            killed.StartAgain();
        }

        _cluster.Administer(what.Sponsor, "drain", "--timeout", "80");
        _cluster.Pass(what.Length);
        _cluster.OfferAll(what.Sponsor);
    }

    private void Happened(string what)
    {
        _happened.Add(what);
        Say(what);
    }

    /// <summary>At once: who waits ten minutes, or sees it hang, wants to know.</summary>
    private static void Say(string line) => Console.WriteLine(line);

    private static TimeSpan Max(TimeSpan one, TimeSpan other) => one > other ? one : other;

    private static int? Number(string name) =>
        Environment.GetEnvironmentVariable(name) is { Length: > 0 } text ? int.Parse(text, CultureInfo.InvariantCulture) : null;
}
