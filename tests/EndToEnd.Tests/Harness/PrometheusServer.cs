using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;
using Xunit;

namespace Hecatonchire.Tests.Harness;

/// <summary>A real Prometheus with a folder of its own that scrapes what the test names twice a second.</summary>
internal sealed class PrometheusServer : IDisposable
{
    private const string Program = "/usr/bin/prometheus";

    private readonly string _folder = Directory.CreateTempSubdirectory("heca-test-prometheus-").FullName;
    private readonly Process _process;
    private readonly OutputTail _told;
    private readonly HttpClient _client = new();

    /// <param name="targets">HOST:PORT by the name of its job.</param>
    public PrometheusServer(params (string Job, string Target)[] targets)
    {
        Capability.Require("promtool", File.Exists(Program), $"no {Program}: apt-get install prometheus");
        string configuration = Path.Combine(_folder, "prometheus.yml");
        File.WriteAllText(configuration, "global: {scrape_interval: 500ms, scrape_timeout: 500ms}\nscrape_configs:\n"
            + string.Concat(targets.Select(target => $"  - {{job_name: {target.Job}, static_configs: [{{targets: [\"{target.Target}\"]}}]}}\n")));
        string listen = $"127.0.0.1:{FreePort()}";
        _client.BaseAddress = new Uri($"http://{listen}");
        _process = Process.Start(new ProcessStartInfo(Program,
            [$"--config.file={configuration}", $"--storage.tsdb.path={_folder}/data", $"--web.listen-address={listen}", "--log.level=error"])
        { RedirectStandardError = true })!;
        _told = new OutputTail(_process.StandardError);
    }

    /// <summary>A port that nobody had a moment ago.</summary>
    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>The result of an instant query, one element for each series; null where there is no answer yet. Fails the test for a query that is none.</summary>
    public JsonElement[]? Query(string query)
    {
        try
        {
            using HttpResponseMessage answer = _client.PostAsync("/api/v1/query", new FormUrlEncodedContent([new("query", query)])).GetAwaiter().GetResult();
            if (answer.StatusCode == HttpStatusCode.ServiceUnavailable)
            {
                return null;
            }

            using JsonDocument json = JsonDocument.Parse(answer.Content.ReadAsStream());
            Assert.True(answer.IsSuccessStatusCode, $"{query}: {json.RootElement}");
            return [.. json.RootElement.GetProperty("data").GetProperty("result").EnumerateArray().Select(one => one.Clone())];
        }
        catch (HttpRequestException)
        {
            Assert.False(_process.HasExited, _told.Text);
            return null;
        }
    }

    public void Dispose()
    {
        _client.Dispose();
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }
}
