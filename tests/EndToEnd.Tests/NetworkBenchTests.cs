using System.Diagnostics;
using System.Text.Json;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary><c>heca bench network</c>: the data plane without a program.</summary>
public class NetworkBenchTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [Fact]
    public void It_reads_what_it_wrote_and_leaves_nothing_at_the_sponsor()
    {
        using var sponsor = new SponsorProcess("64MiB");

        // Twice, of what there is only once: the first has given it back.
        for (int run = 0; run < 2; run++)
        {
            using Process bench = Start(sponsor, "1");
            string output = bench.StandardOutput.ReadToEnd();
            Assert.True(bench.WaitForExit(Deadline));

            Assert.Equal("", bench.StandardError.ReadToEnd());
            Assert.Equal(0, bench.ExitCode);
            JsonElement result = JsonDocument.Parse(output).RootElement;
            Assert.Equal("network", result.GetProperty("benchmark").GetString());
            Assert.Equal("tcp", result.GetProperty("transport").GetString());
            Assert.True(result.GetProperty("verified").GetBoolean());
            Assert.True(result.GetProperty("page_us").GetProperty("p50").GetDouble() > 0);
            Assert.True(result.GetProperty("read_pages_per_s").GetDouble() > 0);
            Assert.True(result.GetProperty("write_pages_per_s").GetDouble() > 0);
        }
    }

    [Fact]
    public void A_sponsor_that_dies_ends_it_with_a_line()
    {
        using var sponsor = new SponsorProcess("64MiB");
        using Process bench = Start(sponsor, "3600");
        Assert.True(SpinWait.SpinUntil(() => CpuTime(sponsor) > TimeSpan.FromSeconds(1.5), Deadline), "no pages travel");

        sponsor.Kill();

        Assert.True(bench.WaitForExit(Deadline));
        Assert.Equal(1, bench.ExitCode);
        string line = Assert.Single(bench.StandardError.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("heca: the data connection ended: ", line, StringComparison.Ordinal);
        Assert.Equal("", bench.StandardOutput.ReadToEnd());
    }

    private static TimeSpan CpuTime(SponsorProcess sponsor)
    {
        using var process = Process.GetProcessById(sponsor.Id);
        return process.TotalProcessorTime;
    }

    private static Process Start(SponsorProcess sponsor, string seconds)
    {
        var start = new ProcessStartInfo(Programs.Heca) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["bench", "network", "--json", "--seconds", seconds,
            "--sponsor", $"127.0.0.1:{sponsor.Endpoint.Port}", "--sponsor-key", sponsor.Endpoint.PublicKey])
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }
}
