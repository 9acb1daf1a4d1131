using System.Diagnostics;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>What a program sees when its data connections end while its sponsor lives, or only seems to.</summary>
public class ReconnectTests
{
    private const int SIGCONT = 18, SIGSTOP = 19;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_walk_verifies_although_its_connections_are_cut_all_the_time(int seed)
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB");
        using Process program = paged.Start(Programs.Test, ["walk", "64", "4", "60000"]);

        // Who loses its connections while it opens them is refused.
        Assert.True(SpinWait.SpinUntil(() => paged.Host.IsServing, Deadline), "the program does not come");
        var random = new Random(seed);
        int cuts = 0;
        long before = -1, allocated = 0;
        while (!program.WaitForExit(random.Next(5, 60)))
        {
            cuts += DataSockets.Cut(sponsor.DataPort, random, percent: 60);
            if (paged.Host.Snapshot().Reconnects >= 10)
            {
                // The first ones pay for the runtime's own set-up.
                before = before < 0 ? paged.Host.PagerThreadAllocatedBytes : before;
                allocated = Math.Max(allocated, paged.Host.PagerThreadAllocatedBytes - before);
            }
        }

        Assert.Equal("ok", program.StandardOutput.ReadLine());
        Assert.Equal(0, program.ExitCode);
        Assert.Null(paged.Host.Failure);
        Assert.Equal(0, paged.Host.Snapshot().PagesLost);
        Assert.True(paged.Host.Snapshot().Reconnects > 20, $"{cuts} cuts, {paged.Host.Snapshot().Reconnects} reconnects: this shows nothing");

        // Not one object for each: what the runtime makes once, it makes when a path is first taken.
        const int SmallestObject = 24;
        Assert.InRange(allocated, 0, (SmallestObject * (paged.Host.Snapshot().Reconnects - 10)) - 1);
    }

    [Fact]
    public void Connections_that_end_while_nothing_happens_are_there_again_when_they_are_needed()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "16MiB");
        using Process program = paged.Start(Programs.Test, ["idle", "64"]);
        Assert.Equal("ready", program.StandardOutput.ReadLine());

        Assert.True(DataSockets.Cut(sponsor.DataPort, new Random(1)) > 0);
        Assert.True(SpinWait.SpinUntil(() => paged.Host.Snapshot().Reconnects > 0, Deadline), "nobody noticed");
        program.StandardInput.WriteLine();

        Assert.Equal("ok", program.StandardOutput.ReadLine());
        Assert.True(program.WaitForExit(Deadline));
        Assert.Null(paged.Host.Failure);
    }

    [Fact]
    public void A_sponsor_that_answers_late_is_waited_for()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "16MiB");
        using Process program = paged.Start(Programs.Test, ["idle", "64"]);
        Assert.Equal("ready", program.StandardOutput.ReadLine());

        Assert.Equal(0, Libc.Kill(sponsor.Id, SIGSTOP));
        _ = DataSockets.Cut(sponsor.DataPort, new Random(1));
        program.StandardInput.WriteLine();
        bool ended = program.WaitForExit(TimeSpan.FromSeconds(3));
        Assert.Equal(0, Libc.Kill(sponsor.Id, SIGCONT));

        Assert.False(ended, "the program did not wait");
        Assert.Equal("ok", program.StandardOutput.ReadLine());
        Assert.True(program.WaitForExit(Deadline));
        Assert.Null(paged.Host.Failure);
    }

    [Fact]
    public void A_killed_sponsor_is_told_long_before_one_that_does_not_answer_is_given_up()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "16MiB");
        using Process program = paged.Start(Programs.Test, ["lost", "64"]);
        Assert.Equal("ready", program.StandardOutput.ReadLine());

        long started = Stopwatch.GetTimestamp();
        sponsor.Kill();
        Assert.True(SpinWait.SpinUntil(() => paged.Host.Failure is not null, Deadline), "the loss is not told");

        Assert.InRange(Stopwatch.GetElapsedTime(started).TotalSeconds, 0, 5);
        Assert.Contains("has ended", paged.Host.Failure!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, "has ended")]
    [InlineData(true, "was restarted")]
    public void A_sponsor_that_was_killed_and_started_again_has_lost_the_pages(bool isNoticedLate, string reason)
    {
        using var sponsor = new SponsorProcess("256MiB");
        using Process heca = HecaRun.Start(sponsor, "", "--local", "16MiB", "--", Programs.Test, "lost", "64");
        Assert.Equal("ready", heca.StandardOutput.ReadLine());

        if (isNoticedLate)
        {
            Assert.Equal(0, Libc.Kill(heca.Id, SIGSTOP));
        }

        sponsor.Kill();
        sponsor.StartAgain();
        Assert.Equal(0, Libc.Kill(heca.Id, SIGCONT));
        heca.StandardInput.WriteLine();

        Assert.Equal("SIGBUS", heca.StandardOutput.ReadLine());
        string error = heca.StandardError.ReadToEnd();
        Assert.True(heca.WaitForExit(Deadline));
        Assert.Contains("is lost", error, StringComparison.Ordinal);
        Assert.Equal(1, heca.ExitCode);
        Assert.Contains(reason, error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }
}
