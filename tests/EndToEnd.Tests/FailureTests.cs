using System.Diagnostics;
using Hecatonchire.Pager;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>What a program sees when a sponsor or the pager dies.</summary>
public class FailureTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    [Fact]
    public void Pages_of_a_sponsor_that_died_raise_SIGBUS()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "16MiB");
        using Process program = paged.Start(Programs.Test, ["lost", "64"]);
        Assert.Equal("ready", program.StandardOutput.ReadLine());

        sponsor.Kill();
        program.StandardInput.WriteLine();

        Assert.Equal("SIGBUS", program.StandardOutput.ReadLine());
        Assert.True(program.WaitForExit(Deadline));
        Assert.Equal(7, program.ExitCode);
        Assert.Contains("is lost", paged.Host.Failure, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', paged.Host.Failure!);
    }

    [Fact]
    public void A_program_that_walks_when_its_sponsor_dies_ends_and_does_not_hang()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB");
        using Process program = paged.Start(Programs.Test, ["walk", "64", "4", "100000000"]);
        SpinWait.SpinUntil(() => paged.Host.Snapshot().HardFaults > 1000, Deadline);

        sponsor.Kill();

        Assert.True(program.WaitForExit(Deadline), "the program hangs");
        Assert.Equal(128 + 7, program.ExitCode);
        Assert.NotNull(paged.Host.Failure);
    }

    [Fact]
    public void A_program_whose_pages_are_all_resident_outlives_its_sponsor()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "96MiB");
        using Process program = paged.Start(Programs.Test, ["idle", "64"]);
        Assert.Equal("ready", program.StandardOutput.ReadLine());

        sponsor.Kill();
        program.StandardInput.WriteLine();

        Assert.Equal("ok", program.StandardOutput.ReadLine());
        Assert.True(program.WaitForExit(Deadline));
        Assert.Equal(0, program.ExitCode);
    }

    [Theory]
    [InlineData("free", "")]
    [InlineData("out", "copy")]
    public void A_program_killed_in_the_middle_of_a_request_leaves_its_pager_free_for_the_next(string request, string take)
    {
        using var sponsor = new SponsorProcess("256MiB");
        using Process heca = HecaRun.Start(sponsor, take, "--local", "16MiB", "--", Programs.Test, "killed", "8", request);

        bool hasEnded = heca.WaitForExit(Deadline);
        if (!hasEnded)
        {
            heca.Kill();
        }

        Assert.True(hasEnded, "the pager hangs");
        Assert.Equal(128 + 9, heca.ExitCode);
    }

    [Theory]
    [InlineData("all", "")]
    [InlineData("all", "copy")]
    [InlineData("segment", "")]
    [InlineData("segment", "copy")]
    public void A_program_that_locks_its_sponsored_memory_is_stopped_and_does_not_hang(string what, string take)
    {
        using var sponsor = new SponsorProcess("256MiB");
        using Process heca = HecaRun.Start(sponsor, take, "--local", "16MiB", "--", Programs.Test, "locked", "64", what);

        bool hasEnded = heca.WaitForExit(Deadline);
        if (!hasEnded)
        {
            heca.Kill();
        }

        Assert.True(hasEnded, "the program hangs");
        Assert.Equal(1, heca.ExitCode);
        Assert.Contains("locked sponsored memory", heca.StandardError.ReadToEnd(), StringComparison.Ordinal);
    }

    [Fact]
    public void Heca_run_says_in_one_line_that_the_sponsor_is_lost_and_exits_1()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using Process heca = HecaRun.Start(sponsor, "", "--local", "16MiB", "--", Programs.Test, "lost", "64");
        Assert.Equal("ready", heca.StandardOutput.ReadLine());

        sponsor.Kill();
        heca.StandardInput.WriteLine();

        string error = heca.StandardError.ReadToEnd();
        Assert.True(heca.WaitForExit(Deadline));
        Assert.Equal(1, heca.ExitCode);
        Assert.Contains("is lost", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Fact]
    public void A_program_whose_pager_was_killed_stalls_and_is_then_stopped_with_a_message()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using Process heca = HecaRun.Start(sponsor, "", "--local", "16MiB", "--stop-after", "1", "--", Programs.Test, "lost", "64");
        Assert.Equal("ready", heca.StandardOutput.ReadLine());

        heca.Kill();
        heca.StandardInput.WriteLine();

        // The program shares its pager's standard output and error; they end with it. A zero page would have been "page 0 is wrong".
        Assert.Equal("", heca.StandardOutput.ReadToEnd());
        string error = heca.StandardError.ReadToEnd();
        Assert.Contains("pager", error, StringComparison.Ordinal);
        Assert.Single(error.TrimEnd().Split('\n'));
    }
}
