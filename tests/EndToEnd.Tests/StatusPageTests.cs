using System.Globalization;
using System.Net;
using System.Text.Json;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>/status.json of both daemons, and how it is served, while a program runs.</summary>
public sealed class StatusPageTests
{
    [Fact]
    public async Task The_page_of_a_pager_has_what_the_commands_print_and_where_in_its_segment_the_pages_are()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var run = new WatchedRun([sponsor]);

        // While it fills its memory, there are faults to look back on.
        JsonElement live = run.WaitForStatus(status => status.GetProperty("live").GetProperty("fault_latency_us").ValueKind == JsonValueKind.Array, "no live latencies").GetProperty("live");
        Assert.True(live.GetProperty("faults_per_s").GetDouble() > 0 && live.GetProperty("fault_latency_us")[3].GetDouble() >= live.GetProperty("fault_latency_us")[0].GetDouble());
        run.WaitUntilFilled();
        JsonElement status = run.WaitForStatus(
            now => now.GetProperty("segments") is var all && all.GetArrayLength() == 1 && all[0].GetProperty("remote_bytes").GetInt64() >= 56 << 20
                && now.GetProperty("sponsors").EnumerateArray().Any(one => one.GetProperty("state").GetString() == "ok" && one.GetProperty("lent_bytes").GetInt64() >= 64 << 20),
            "no segment, or no sponsor");

        Assert.Equal("heca run", status.GetProperty("daemon").GetString());
        JsonElement printed = Printed("status", "--json").EnumerateArray().Single(report => report.GetProperty("pager").GetInt32() == run.Id);
        JsonElement program = status.GetProperty("programs").EnumerateArray().Single();
        Assert.Equal(Names(printed), Names(program));
        Assert.All(["program", "command", "started", "local", "sponsor", "transport", "pages_lost", "sponsors"], name => Assert.Equal(printed.GetProperty(name).ToString(), program.GetProperty(name).ToString()));

        JsonElement listed = Printed("segment", "list", "--json").EnumerateArray().Single(segment => segment.GetProperty("program").GetInt32() == program.GetProperty("program").GetInt32());
        JsonElement segment = status.GetProperty("segments")[0];
        Assert.Equal(Names(listed).Where(name => name != "address"), Names(segment));
        Assert.All(["id", "name", "bytes"], name => Assert.Equal(listed.GetProperty(name).ToString(), segment.GetProperty(name).ToString()));
        AssertMap(segment);

        JsonElement lender = Printed(["cluster", "status", "--json", .. HecaRun.Naming([sponsor])]).GetProperty("sponsors")[0], seen = status.GetProperty("sponsors")[0];
        Assert.Equal(Names(lender), Names(seen));
        Assert.All(["sponsor", "id", "instance", "offered_bytes", "lent_bytes", "labels"], name => Assert.Equal(lender.GetProperty(name).ToString(), seen.GetProperty(name).ToString()));
        Assert.Contains(status.GetProperty("events").EnumerateArray(), one => one.GetProperty("message").GetString()!.StartsWith("Program ", StringComparison.Ordinal));
        Assert.Equal("", run.Told);

        await AssertServedReadOnly(run.Page);
        run.Finish();
    }

    [Fact]
    public void The_page_of_a_sponsor_has_itself_and_to_whom_it_lends()
    {
        int port = PrometheusServer.FreePort();
        using var sponsor = new SponsorProcess("256MiB", "--metrics", $"{port}");
        using var run = new WatchedRun([sponsor]);
        run.WaitUntilFilled();
        using var client = new HttpClient();
        JsonElement status = WatchedRun.WaitForStatus(client, new Uri($"http://127.0.0.1:{port}/"), now => now.GetProperty("sponsors")[0].GetProperty("lent_bytes").GetInt64() >= 64 << 20, "nothing is lent");
        Assert.Equal(("heca-sponsor", sponsor.Id), (status.GetProperty("daemon").GetString(), status.GetProperty("process").GetInt32()));
        JsonElement printed = Printed(["cluster", "status", "--json", .. HecaRun.Naming([sponsor])]).GetProperty("sponsors")[0], own = status.GetProperty("sponsors")[0];
        Assert.Equal(Names(printed), Names(own));
        Assert.All(["sponsor", "state", "id", "instance", "cluster", "labels", "offered_bytes", "lent_bytes"], name => Assert.Equal(printed.GetProperty(name).ToString(), own.GetProperty(name).ToString()));
        JsonElement demander = status.GetProperty("demanders").EnumerateArray().Single();
        Assert.Equal(own.GetProperty("lent_bytes").GetInt64(), demander.GetProperty("lent_bytes").GetInt64());
        Assert.Contains(status.GetProperty("events").EnumerateArray(), one => one.GetProperty("source").GetString() == "ControlServer");
        run.Finish();
    }

    private static void AssertMap(JsonElement segment)
    {
        string here = segment.GetProperty("resident_map").GetString()!, remote = segment.GetProperty("remote_map").GetString()!;
        Assert.Equal((256, 256), (here.Length, remote.Length));
        Assert.False(segment.TryGetProperty("lost_map", out _));

        // Every page of it was written: each part is here, remote, or in between.
        Assert.All(here.Zip(remote), cell => Assert.InRange(cell.First - '0' + (cell.Second - '0'), 7, 11));

        // The digits are shares rounded to eighths, of parts that are all as long.
        double share = here.Average(digit => digit == '9' ? 1 : (digit - '0') / 8.0);
        Assert.InRange(share, segment.GetProperty("resident_bytes").GetInt64() / (double)segment.GetProperty("bytes").GetInt64() - 0.13, 0.3);
    }

    /// <summary>Read-only, for this host's own names, and with headers that let a browser do nothing else.</summary>
    private static async Task AssertServedReadOnly(Uri page)
    {
        using var client = new HttpClient();
        CancellationToken stop = TestContext.Current.CancellationToken;
        foreach (string path in (string[])["", "status.json"])
        {
            var uri = new Uri(page, path);
            using HttpResponseMessage got = await client.GetAsync(uri, stop);
            Assert.Equal(("no-store", "nosniff"), (got.Headers.CacheControl!.ToString(), got.Headers.GetValues("X-Content-Type-Options").Single()));
            using HttpResponseMessage head = await client.SendAsync(new HttpRequestMessage(HttpMethod.Head, uri), stop);
            Assert.Equal((HttpStatusCode.OK, got.Content.Headers.ContentType), (head.StatusCode, head.Content.Headers.ContentType));
            foreach (string method in (string[])["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
            {
                using HttpResponseMessage refused = await client.SendAsync(new HttpRequestMessage(new HttpMethod(method), uri), stop);
                Assert.Equal(HttpStatusCode.MethodNotAllowed, refused.StatusCode);
            }

            foreach ((string host, HttpStatusCode expected) in ((string, HttpStatusCode)[])[("evil.example", HttpStatusCode.MisdirectedRequest), ("localhost.evil.example:80", HttpStatusCode.MisdirectedRequest),
                ("localhost:1", HttpStatusCode.OK), ("[::1]:1", HttpStatusCode.OK), (Environment.MachineName, HttpStatusCode.OK)])
            {
                using var request = new HttpRequestMessage(HttpMethod.Get, uri);
                request.Headers.Host = host;
                using HttpResponseMessage answer = await client.SendAsync(request, stop);
                Assert.Equal((host, expected), (host, answer.StatusCode));
            }
        }

        using HttpResponseMessage document = await client.GetAsync(page, stop);
        string policy = document.Headers.GetValues("Content-Security-Policy").Single();
        Assert.StartsWith("default-src 'none'; style-src 'sha256-", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        string text = await document.Content.ReadAsStringAsync(stop);
        Assert.DoesNotContain("https://", text, StringComparison.Ordinal);
    }

    private static string[] Names(JsonElement report) => [.. report.EnumerateObject().Select(property => property.Name).Order(StringComparer.Ordinal)];

    private static JsonElement Printed(params string[] arguments)
    {
        (int status, string output, string error) = HecaRun.Command(arguments);
        Assert.True(status == 0, string.Create(CultureInfo.InvariantCulture, $"{status}: {error}"));
        using JsonDocument json = JsonDocument.Parse(output);
        return json.RootElement.Clone();
    }
}
