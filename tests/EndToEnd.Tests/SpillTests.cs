using System.Diagnostics;
using Hecatonchire.Host;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>A program that has more than its sponsors have room for, and a disk.</summary>
public sealed class SpillTests : IDisposable
{
    private const long MiB = 1L << 20;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    // Not in memory: what is spilled would be where it is wanted.
    private readonly DirectoryInfo _disk = Directory.CreateDirectory($"/var/tmp/heca-test-spill-{Environment.ProcessId}");
    private readonly SponsorProcess _sponsor = new("64MiB");

    public SpillTests() => Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");

    public void Dispose()
    {
        _sponsor.Dispose();
        _disk.Delete(recursive: true);
    }

    [Fact]
    public void What_no_sponsor_has_room_for_is_on_disk_and_every_byte_is_right()
    {
        using Process run = Start(["--local", "16MiB", "--spill", _disk.FullName], [Programs.Unaware, "walk", "192", "64", "input"]);
        HecaRun.WaitUntil(run.Id, report => report.GetProperty("spilled_bytes").GetInt64() >= 64 * MiB, "nothing is spilled");
        Assert.Empty(_disk.GetFileSystemInfos());
        run.StandardInput.Close();
        AssertOk(run);
    }

    [Fact]
    public void What_was_spilled_goes_to_a_sponsor_as_soon_as_that_has_room()
    {
        using Process run = Start(["--local", "16MiB", "--spill", _disk.FullName], [Programs.Unaware, "walk", "192", "64", "input"]);
        HecaRun.WaitUntil(run.Id, report => report.GetProperty("remote_bytes").GetInt64() > 160 * MiB && report.GetProperty("spilled_bytes").GetInt64() > 0, "nothing is spilled");
        Assert.Equal(0, HecaRun.Command(["offer", _sponsor.Name, "512MiB", "--sponsor-key", _sponsor.Endpoint.PublicKey, "--admin-key", _sponsor.AdminKey]).Status);
        HecaRun.WaitUntil(run.Id, report => report.GetProperty("spilled_bytes").GetInt64() == 0, "what was spilled stays there");
        run.StandardInput.Close();
        string told = AssertOk(run);
        Assert.Contains($"No sponsor has room: pages go to the spill file in {_disk.FullName}", told, StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_that_was_asked_for_is_promised_with_the_disk()
    {
        using Process run = Start(["--local", "8MiB", "--spill", _disk.FullName], [Programs.Test, "walk", "192", "2", "20000"]);
        AssertOk(run);
    }

    [Fact]
    public void A_bound_of_the_disk_is_kept_and_what_exceeds_it_stays_here()
    {
        using Process run = Start(["--local", "16MiB", "--spill", _disk.FullName, "--spill-max", "64MiB"], [Programs.Unaware, "walk", "192", "64", "input"]);
        HecaRun.WaitUntil(
            run.Id,
            report => report.GetProperty("spilled_bytes").GetInt64() == 64 * MiB && report.GetProperty("resident_bytes").GetInt64() > 40 * MiB,
            "it does not come to be what exceeds sponsor and disk");
        run.StandardInput.Close();
        AssertOk(run);
    }

    [Theory]
    [InlineData("--spill /nowhere/at/all", "/nowhere/at/all", 2)]
    [InlineData("--spill /proc", "/proc", 1)]
    [InlineData("--spill-max 1GiB", "--spill-max is how much of a disk --spill may take", 2)]
    [InlineData("--spill /var/tmp --spill-max much", "--spill-max 'much': write a size", 2)]
    public void Where_nothing_can_be_spilled_is_told_in_one_line(string options, string expected, int status)
    {
        using Process run = Start(options.Split(' '), ["true"]);
        string told = run.StandardError.ReadToEnd();
        Assert.True(run.WaitForExit(s_deadline));
        Assert.Contains(expected, Assert.Single(told.TrimEnd().Split('\n')), StringComparison.Ordinal);
        Assert.Equal(status, run.ExitCode);
    }

    private Process Start(string[] options, string[] program) => HecaRun.Start(_sponsor, "", [.. options, "--stats", "--", .. program]);

    private static string AssertOk(Process run)
    {
        Task<string> told = run.StandardError.ReadToEndAsync();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline));
        Assert.Contains(" 0 lost", told.Result, StringComparison.Ordinal);
        Assert.Equal(0, run.ExitCode);
        return told.Result;
    }
}
