using System.Diagnostics;
using System.Text.Json;
using Hecatonchire.Host;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>`heca status` and `heca top` beside a program that runs.</summary>
public sealed class StatusTests
{
    [Fact]
    public void A_running_program_is_seen_and_gone_when_it_has_ended()
    {
        Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");
        using var sponsor = new SponsorProcess("512MiB");
        using Process heca = HecaRun.Start(sponsor, "", "--local", "16MiB", "--", Programs.Unaware, "still", "64");
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        heca.StandardInput.WriteLine();
        Assert.Equal("ready", heca.StandardOutput.ReadLine());

        JsonElement report = Report(heca.Id) ?? throw new InvalidOperationException("the program is not seen");
        Assert.True(report.GetProperty("is_captured").GetBoolean());
        Assert.Equal(Programs.Unaware, report.GetProperty("command").GetString());
        Assert.InRange(report.GetProperty("remote_bytes").GetInt64(), 16L << 20, 96L << 20);
        Assert.InRange(report.GetProperty("program").GetInt32(), 2, int.MaxValue);
        Assert.Contains("heca-unaware", Heca("status"), StringComparison.Ordinal);
        string top = Heca("top", "--interval", "0.2", "--count", "2");
        Assert.Equal(2, top.Split("faults/s").Length - 1);

        heca.StandardInput.WriteLine();
        Assert.Equal("ok", heca.StandardOutput.ReadLine());
        heca.WaitForExit();
        Assert.Null(Report(heca.Id));
    }

    private static JsonElement? Report(int pager)
    {
        using JsonDocument json = JsonDocument.Parse(Heca("status", "--json"));
        JsonElement[] own = [.. json.RootElement.EnumerateArray().Where(report => report.GetProperty("pager").GetInt32() == pager)];
        return own.Length == 0 ? null : own.Single().Clone();
    }

    private static string Heca(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(Programs.Heca, arguments) { RedirectStandardOutput = true })!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return output;
    }
}
