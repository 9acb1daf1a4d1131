using System.Diagnostics;
using Hecatonchire.Host;
using Hecatonchire.Lending;
using Hecatonchire.Pager;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>A network, or a sponsor's memory, that changes bits of pages: a program never sees one.</summary>
public class CorruptionTests
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    public CorruptionTests() => Capability.Require("userfaultfd", UserfaultfdOpening.Try().Opened, "this user may not open a userfaultfd: see `heca check`");

    /// <summary>What is damaged on its way to the sponsor lies there so.</summary>
    [Theory]
    [InlineData(0.05, 0, false)]
    [InlineData(0, 0.05, true)]
    [InlineData(0.03, 0.03, false)]
    [InlineData(0.03, 0.03, true)]
    public void With_two_replicas_pages_that_are_damaged_are_read_from_the_other(double ofReads, double ofWrites, bool seals)
    {
        using var good = new SponsorProcess("256MiB");
        using var bad = new SponsorProcess("256MiB");
        using var wire = new WireProxy(bad, "127.0.0.2") { FlipsOfReads = ofReads, FlipsOfWrites = ofWrites };
        using var paged = new PagedProgram(new Borrowing { Sponsors = [good.Endpoint, wire.Endpoint], Replicas = 2, ReadPolicy = Transport.Striped.ReadPolicy.RoundRobin, Seal = seals }, "8MiB");
        (int exitCode, string output, string error) = paged.Run(Programs.Test, ["walk", "64", "2", "20000"]);
        Assert.True(exitCode == 0 && output == "ok\n", output + error);
        Assert.Equal(0, paged.Host.Snapshot().PagesLost);
        Assert.InRange(paged.Host.Snapshot().PagesCorrupted, 50, long.MaxValue);
        Assert.InRange(wire.Flips, 50, long.MaxValue);
        Assert.Null(paged.Host.Failure);
        Assert.InRange(paged.Host.Snapshot().PagesRepaired, ofWrites > 0 ? 1 : 0, paged.Host.Snapshot().PagesCorrupted);
    }

    /// <summary>What was damaged on its way to the sponsor while its network was bad is written there anew from the other replica.</summary>
    [Fact]
    public void Pages_that_lie_wrong_on_a_replica_are_written_there_anew_as_they_are_read()
    {
        using var good = new SponsorProcess("256MiB");
        using var bad = new SponsorProcess("256MiB");
        using var wire = new WireProxy(bad, "127.0.0.2") { FlipsOfWrites = 0.02 };
        using var paged = new PagedProgram(new Borrowing { Sponsors = [good.Endpoint, wire.Endpoint], Replicas = 2, ReadPolicy = Transport.Striped.ReadPolicy.RoundRobin }, "8MiB");
        using Process program = paged.Start(Programs.Test, ["idle", "48"]);
        Assert.Equal("ready", program.StandardOutput.ReadLine());

        // The pages that lie wrong are found as they are read: the program has read them all once, and reads them again now.
        wire.FlipsOfWrites = 0;
        program.StandardInput.WriteLine();
        Assert.Equal("ok", program.StandardOutput.ReadLine());
        Assert.True(program.WaitForExit(s_deadline));
        PagerSnapshot figures = paged.Host.Snapshot();
        Assert.InRange(figures.PagesRepaired, 10, figures.PagesCorrupted);
        Assert.Equal(0, figures.PagesLost);
        Assert.Null(paged.Host.Failure);
    }

    /// <summary>Read again it is right, unless it is unlucky three times.</summary>
    [Fact]
    public void Without_a_replica_what_is_damaged_on_its_way_here_is_read_again()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var wire = new WireProxy(sponsor, "127.0.0.2") { FlipsOfReads = 0.0005 };
        using var paged = new PagedProgram(Borrowing.From(wire.Endpoint), "8MiB");
        (int exitCode, string output, string error) = paged.Run(Programs.Test, ["walk", "64", "2", "20000"]);
        Assert.True(exitCode == 0 && output == "ok\n", output + error);
        Assert.InRange(paged.Host.Snapshot().PagesCorrupted, 1, long.MaxValue);
    }

    [Fact]
    public void Without_a_replica_what_lies_there_damaged_is_lost_and_told_and_never_read()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var wire = new WireProxy(sponsor, "127.0.0.2") { FlipsOfWrites = 0.05 };
        using var paged = new PagedProgram(Borrowing.From(wire.Endpoint), "8MiB");
        using Process program = paged.Start(Programs.Test, ["walk", "64", "2", "20000"]);
        Assert.True(program.WaitForExit(s_deadline), "the program hangs");
        Assert.NotEqual(0, program.ExitCode);
        string output = program.StandardOutput.ReadToEnd();
        Assert.DoesNotContain("ok", output, StringComparison.Ordinal);
        Assert.DoesNotContain("wrong", output, StringComparison.Ordinal);
        Assert.InRange(paged.Host.Snapshot().PagesLost, 1, long.MaxValue);
        Assert.Matches($"^[0-9]+ pages came back from sponsor {wire.Endpoint.Host}:{wire.Endpoint.Port} other than they were written, each time: the program gets SIGBUS", paged.Host.Failure);
    }
}
