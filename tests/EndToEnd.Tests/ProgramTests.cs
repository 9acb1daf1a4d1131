using System.Diagnostics;
using Hecatonchire.Eviction;
using Hecatonchire.Host;
using Hecatonchire.Pager;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>
/// What a program may expect of its memory, over a real sponsor and the real kernel, by UFFDIO_MOVE and by the copying
/// fallback of older kernels.
/// </summary>
public class ProgramTests
{
    private const ulong FeatureMove = 1UL << 16;

    [Theory]
    [InlineData("walk 64 4 40000", "16MiB", "")]
    [InlineData("walk 64 4 40000", "16MiB", "copy")]
    [InlineData("walk 16 8 20000", "1MiB", "")]
    [InlineData("walk 16 8 20000", "1MiB", "copy")]
    [InlineData("resize 32", "16MiB", "")]
    [InlineData("resize 32", "16MiB", "copy")]
    [InlineData("zeros 64", "8MiB", "")]
    [InlineData("advise 64", "1:4", "")]
    [InlineData("advise 64", "1:4", "copy")]
    [InlineData("churn 64 5", "1:8", "")]
    public void Every_byte_is_right_and_the_budget_holds(string mode, string local, string take)
    {
        using var sponsor = new SponsorProcess("1GiB");
        using var paged = new PagedProgram(sponsor.Endpoint, local);

        (int exitCode, string output, string error) = paged.Run(Programs.Test, mode.Split(' '), ("HECA_TAKE", take));

        Assert.Equal("", error);
        Assert.Equal("ok\n", output);
        Assert.Equal(0, exitCode);
        Assert.Null(paged.Host.Failure);
        if (!local.Contains(':', StringComparison.Ordinal))
        {
            Assert.True(LocalBudget.TryParse(local, out LocalBudget budget));
            Assert.InRange(paged.Host.Snapshot().ResidentPeakBytes, 1, budget.Resolve(0));
        }
    }

    /// <summary>The program's own munmap, mremap and madvise are told to the pager. Takes UFFDIO_MOVE.</summary>
    [Theory]
    [InlineData("rearrange 16 4 40000 3", "1:4")]
    [InlineData("rearrange 64 8 40000 2", "2MiB")]
    [InlineData("walk 64 4 40000", "16MiB")]
    [InlineData("resize 32", "16MiB")]
    [InlineData("advise 64", "1:4")]
    [InlineData("churn 64 5", "1:8")]
    public void Every_byte_is_right_where_the_program_may_rearrange_its_memory(string mode, string local)
    {
        Capability.Require("move", (UserfaultfdOpening.Try().Features & FeatureMove) != 0, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");
        using var sponsor = new SponsorProcess("1GiB");
        using var paged = new PagedProgram(sponsor.Endpoint, local);

        Assert.Equal((0, "ok\n", ""), paged.Run(Programs.Test, mode.Split(' '), ("HECA_CHANGES", "told")));
        Assert.Null(paged.Host.Failure);
        if (!local.Contains(':', StringComparison.Ordinal))
        {
            Assert.True(LocalBudget.TryParse(local, out LocalBudget budget));
            Assert.InRange(paged.Host.Snapshot().ResidentPeakBytes, 1, budget.Resolve(0));
        }
    }

    [Theory]
    [InlineData("s3-fifo", "walk 64 4 40000", "16MiB")]
    [InlineData("s3-fifo", "churn 64 5", "1:8")]
    [InlineData("sieve", "walk 64 4 40000", "16MiB")]
    [InlineData("sieve", "churn 64 5", "1:8")]
    [InlineData("behind-stream", "walk 64 4 40000", "16MiB")]
    [InlineData("behind-stream", "churn 64 5", "1:8")]
    public void Every_byte_is_right_whichever_pages_leave_first(string eviction, string mode, string local)
    {
        Assert.True(EvictionKinds.TryParse(eviction, out EvictionKind kind));
        using var sponsor = new SponsorProcess("1GiB");
        using var paged = new PagedProgram(sponsor.Endpoint, local, eviction: kind);

        Assert.Equal((0, "ok\n", ""), paged.Run(Programs.Test, mode.Split(' ')));
        Assert.Null(paged.Host.Failure);
    }

    [Fact]
    public void The_CSharp_sample_runs_under_garbage_collections()
    {
        using var sponsor = new SponsorProcess("512MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB");

        (int exitCode, string output, string error) = paged.Run(Programs.SumSample, []);

        Assert.Equal("", error);
        Assert.Contains("ok", output, StringComparison.Ordinal);
        Assert.Equal(0, exitCode);
    }

    [Fact]
    public void A_sponsor_that_is_full_refuses_before_any_data_is_at_risk()
    {
        const int NoSpace = 28;
        using var sponsor = new SponsorProcess("128MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB");

        Assert.Equal((0, $"refused {NoSpace}\n", ""), paged.Run(Programs.Test, ["full", "256"]));
        Assert.Equal((0, "ok\n", ""), paged.Run(Programs.Test, ["walk", "64", "2", "1000"]));
    }

    [Fact]
    public void A_second_program_is_served_when_the_first_has_gone()
    {
        using var sponsor = new SponsorProcess("128MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB");

        for (int i = 0; i < 5; i++)
        {
            Assert.Equal((0, "ok\n", ""), paged.Run(Programs.Test, ["walk", "100", "2", "1000"]));
        }
    }

    [Fact]
    public void A_second_program_is_refused_while_the_first_lives()
    {
        using var sponsor = new SponsorProcess("512MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB");
        using Process first = paged.Start(Programs.Test, ["idle", "64"]);
        Assert.Equal("ready", first.StandardOutput.ReadLine());

        Assert.Equal((1, "allocate: Device or resource busy\n", ""), paged.Run(Programs.Test, ["walk", "32", "2", "5000"]));

        first.StandardInput.WriteLine();
        Assert.Equal("ok", first.StandardOutput.ReadLine());
    }
}
