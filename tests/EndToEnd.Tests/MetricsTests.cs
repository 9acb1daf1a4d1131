using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Hecatonchire.Tests.Harness;
using Hecatonchire.Tests.Metrics;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>What `heca run --metrics` serves while a program runs.</summary>
public class MetricsTests
{
    [Fact]
    public async Task The_figures_of_a_running_program_are_served_as_Prometheus_text()
    {
        int port = FreePort();
        using var sponsor = new SponsorProcess("256MiB");
        var start = new ProcessStartInfo(Programs.Heca) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string argument in (string[])["run", "--sponsor", $"127.0.0.1:{sponsor.Endpoint.Port}", "--sponsor-key",
            sponsor.Endpoint.PublicKey, "--local", "8MiB", "--metrics", $"127.0.0.1:{port}", "--", Programs.Test, "idle", "64"])
        {
            start.ArgumentList.Add(argument);
        }

        using Process heca = Process.Start(start)!;
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        using var client = new HttpClient();
        string text = await client.GetStringAsync(new Uri($"http://127.0.0.1:{port}/metrics"), TestContext.Current.CancellationToken);
        heca.StandardInput.WriteLine();
        Assert.Equal("ok", heca.StandardOutput.ReadLine());
        await heca.WaitForExitAsync(TestContext.Current.CancellationToken);

        Promtool.Check(text);
        Assert.True(Value(text, "heca_pager_faults_total") > 1000);
        Assert.True(Value(text, "heca_pager_pages_in_total") >= 64 << 8);
        Assert.InRange(Value(text, "heca_pager_resident_bytes"), 1, 8 << 20);
        Assert.True(Value(text, "heca_pager_remote_bytes") >= 56 << 20);
        Assert.Contains("heca_pager_fault_latency_seconds_bucket{le=\"+Inf\"}", text, StringComparison.Ordinal);
    }

    private static double Value(string text, string name)
    {
        string line = Assert.Single(text.Split('\n'), l => l.StartsWith(name, StringComparison.Ordinal) && l.Length > name.Length && l[name.Length] is ' ' or '{');
        return double.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
