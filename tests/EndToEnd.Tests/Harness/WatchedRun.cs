using System.Diagnostics;
using System.Text.Json;
using Xunit;

namespace Hecatonchire.Tests.Harness;

/// <summary>A `heca run --metrics` whose program has filled its memory and waits, and its page.</summary>
internal sealed class WatchedRun : IDisposable
{
    private readonly Process _heca;
    private readonly OutputTail _told;
    private readonly HttpClient _client = new();

    /// <summary>Its program is not ready yet: see <see cref="WaitUntilFilled"/>.</summary>
    public WatchedRun(IReadOnlyList<SponsorProcess> sponsors, params string[] more)
    {
        int port = PrometheusServer.FreePort();
        Page = new Uri($"http://127.0.0.1:{port}/");
        _heca = HecaRun.Start(sponsors, "", ["--local", "8MiB", "--metrics", $"{port}", .. more, "--", Programs.Test, "idle", "64"]);
        _told = new OutputTail(_heca.StandardError);
    }

    public Uri Page { get; }

    public int Id => _heca.Id;

    /// <summary>The last that it has said on standard error.</summary>
    public string Told => _told.Text;

    public void WaitUntilFilled() => Assert.Equal("ready", _heca.StandardOutput.ReadLine());

    /// <summary>/status.json when it is as it should be.</summary>
    public JsonElement WaitForStatus(Predicate<JsonElement> condition, string otherwise) => WaitForStatus(_client, Page, condition, otherwise);

    public static JsonElement WaitForStatus(HttpClient client, Uri page, Predicate<JsonElement> condition, string otherwise)
    {
        string? last = null;
        for (long end = Environment.TickCount64 + 60_000; ; Thread.Sleep(50))
        {
            try
            {
                last = client.GetStringAsync(new Uri(page, "status.json")).GetAwaiter().GetResult();
                using JsonDocument json = JsonDocument.Parse(last);
                if (condition(json.RootElement))
                {
                    return json.RootElement.Clone();
                }
            }
            catch (HttpRequestException)
            {
                // It has not begun.
            }

            Assert.True(Environment.TickCount64 < end, $"{otherwise}: {last}");
        }
    }

    public string Metrics() => _client.GetStringAsync(new Uri(Page, "metrics")).GetAwaiter().GetResult();

    /// <summary>Has the program look at all of its memory again, and end: all is as it was written.</summary>
    public void Finish()
    {
        _heca.StandardInput.WriteLine();
        Assert.Equal("ok", _heca.StandardOutput.ReadLine());
        Assert.True(_heca.WaitForExit(TimeSpan.FromSeconds(60)), "heca run does not end");
        Assert.Equal(0, _heca.ExitCode);
    }

    public void Dispose()
    {
        _client.Dispose();
        if (!_heca.HasExited)
        {
            _heca.Kill(entireProcessTree: true);
        }

        _heca.Dispose();
    }
}
