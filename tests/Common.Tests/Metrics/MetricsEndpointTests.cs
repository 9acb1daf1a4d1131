using System.Net;
using System.Net.Sockets;
using System.Text;
using Hecatonchire.Metrics;
using Hecatonchire.Page;
using Xunit;

namespace Hecatonchire.Tests.Metrics;

public sealed class MetricsEndpointTests : IDisposable
{
    private readonly MetricsEndpoint _endpoint;
    private long _asked;
    private bool _fails;

    public MetricsEndpointTests()
    {
        MetricsRegistry registry = new();
        registry.Counter("heca_test_asked_total", "Asked.", () => _fails ? throw new InvalidOperationException("no figure") : ++_asked);
        _endpoint = MetricsEndpoint.Start("0", registry);
    }

    public void Dispose() => _endpoint.Dispose();

    [Fact]
    public async Task Serves_metrics_to_a_stock_client()
    {
        Assert.Equal(IPAddress.Loopback, _endpoint.EndPoint.Address);
        using var client = new HttpClient { BaseAddress = new Uri($"http://{_endpoint.EndPoint}") };
        using HttpResponseMessage answer = await client.GetAsync("/metrics?x=1");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        Assert.Equal("text/plain; version=0.0.4; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        Assert.Contains("heca_test_asked_total 1\n", await answer.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        using HttpResponseMessage missing = await client.GetAsync("/other");
        Assert.Equal(HttpStatusCode.NotFound, missing.StatusCode);
        using HttpResponseMessage post = await client.PostAsync("/metrics", new StringContent("x"));
        Assert.Equal(HttpStatusCode.MethodNotAllowed, post.StatusCode);
        using HttpResponseMessage head = await client.SendAsync(new HttpRequestMessage(HttpMethod.Head, "/metrics"));
        Assert.Equal(HttpStatusCode.OK, head.StatusCode);
        Assert.True(head.Content.Headers.ContentLength > 0);
    }

    [Theory]
    [InlineData("\r\n\r\n", "400")]
    [InlineData("GET /metrics\r\n\r\n", "400")]
    [InlineData("GET  /metrics HTTP/1.1\r\n\r\n", "400")]
    [InlineData("get /metrics HTTP/1.1\r\n\r\n", "400")]
    [InlineData("GET /metrics HTTP/2.0\r\n\r\n", "400")]
    [InlineData("GET http://x/metrics HTTP/1.1\r\n\r\n", "400")]
    [InlineData("GET /metr\u0001ics HTTP/1.1\r\n\r\n", "400")]
    [InlineData("\u0016\u0003\u0001\u0002 a TLS hello\r\n\r\n", "400")]
    [InlineData("GET /metrics HTTP/1.1\r\nHost: x", "400")]
    [InlineData("PUT /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405")]
    [InlineData("GET /metrics/.. HTTP/1.0\r\n\r\n", "404")]
    [InlineData("GET /metrics HTTP/1.0\r\n\r\n", "200")]
    public void Malformed_requests_are_answered_and_disturb_nothing(string request, string status)
    {
        Assert.StartsWith($"HTTP/1.1 {status} ", Ask(Encoding.Latin1.GetBytes(request)), StringComparison.Ordinal);
        Assert.StartsWith("HTTP/1.1 200 ", Ask("GET /metrics HTTP/1.1\r\n\r\n"u8.ToArray()), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("evil.example", "421")]
    [InlineData("127.0.0.1.evil.example:9400", "421")]
    [InlineData("127.0.0.1:9400", "200")]
    [InlineData("[::1]:9400", "200")]
    [InlineData("LOCALHOST", "200")]
    [InlineData("", "200")]
    public void The_page_is_for_this_hosts_names_and_there_is_none_where_there_are_no_data(string host, string status)
    {
        using MetricsEndpoint endpoint = MetricsEndpoint.Start("0", new MetricsRegistry(), () => "{}"u8.ToArray());
        byte[] request = Encoding.ASCII.GetBytes($"GET /status.json HTTP/1.1\r\nAccept: */*\r\nhOST:{host}\r\n\r\n");
        Assert.StartsWith($"HTTP/1.1 {status} ", Ask(request, endpoint.EndPoint), StringComparison.Ordinal);
        Assert.StartsWith($"HTTP/1.1 {(status == "200" ? "404" : status)} ", Ask(request), StringComparison.Ordinal);
    }

    /// <summary>A browser runs what has the hash that the policy names, and nothing else.</summary>
    [Fact]
    public void The_policy_of_the_page_has_the_hashes_of_its_own_style_and_script()
    {
        string document = Encoding.UTF8.GetString(StatusPage.Document);
        foreach (string tag in (string[])["style", "script"])
        {
            string inside = document.Split($"<{tag}>")[1].Split($"</{tag}>")[0];
            Assert.InRange(inside.Length, 1000, 100_000);
            Assert.Contains($"{tag}-src 'sha256-{Convert.ToBase64String(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(inside)))}'", StatusPage.Policy, StringComparison.Ordinal);
        }

        Assert.DoesNotMatch("(src|href)=\"(https?:)?//", document);
        Assert.DoesNotMatch(" (style|on[a-z]+)=", document);
    }

    [Fact]
    public void An_endless_head_is_cut_off()
    {
        byte[] request = Encoding.ASCII.GetBytes("GET /metrics HTTP/1.1\r\n" + new string('h', HttpHead.BytesMax));
        Assert.StartsWith("HTTP/1.1 431 ", Ask(request), StringComparison.Ordinal);
    }

    [Fact]
    public void Random_bytes_never_stop_it()
    {
        var random = new Random(5);
        for (int i = 0; i < 200; i++)
        {
            byte[] request = new byte[random.Next(1, 200)];
            random.NextBytes(request);
            Assert.StartsWith("HTTP/1.1 400 ", Ask(request), StringComparison.Ordinal);
        }

        Assert.StartsWith("HTTP/1.1 200 ", Ask("GET /metrics HTTP/1.1\r\n\r\n"u8.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Concurrent_scrapes_each_get_a_whole_answer()
    {
        using var client = new HttpClient();
        string[] texts = await Task.WhenAll(Enumerable.Range(0, 40).Select(_ => client.GetStringAsync($"http://{_endpoint.EndPoint}/metrics")));
        Assert.All(texts, t => Assert.Matches(@"^# HELP [^\n]+\n# TYPE heca_test_asked_total counter\nheca_test_asked_total \d+\n$", t));
        Assert.Equal(40, texts.Distinct().Count());
    }

    [Fact]
    public void An_instrument_that_fails_is_the_scrapers_to_see()
    {
        _fails = true;
        string answer = Ask("GET /metrics HTTP/1.1\r\n\r\n"u8.ToArray());
        Assert.StartsWith("HTTP/1.1 500 ", answer, StringComparison.Ordinal);
        Assert.Contains("an instrument failed", answer, StringComparison.Ordinal);
        _fails = false;
        Assert.StartsWith("HTTP/1.1 200 ", Ask("GET /metrics HTTP/1.1\r\n\r\n"u8.ToArray()), StringComparison.Ordinal);
    }

    [Fact]
    public void A_port_in_use_is_one_clear_line()
    {
        IOException error = Assert.Throws<IOException>(() => MetricsEndpoint.Start($"127.0.0.1:{_endpoint.EndPoint.Port}", new MetricsRegistry()));
        Assert.Contains("--metrics: cannot listen on 127.0.0.1:", error.Message, StringComparison.Ordinal);
        Assert.Contains("another program listens there", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Stops_while_a_client_holds_a_connection_and_frees_the_port()
    {
        MetricsEndpoint endpoint = MetricsEndpoint.Start("0", new MetricsRegistry());
        int port = endpoint.EndPoint.Port;
        using var silent = new TcpClient("127.0.0.1", port);
        silent.GetStream().Write("GET /met"u8);
        endpoint.Dispose();
        using MetricsEndpoint second = MetricsEndpoint.Start($"127.0.0.1:{port}", new MetricsRegistry());
        Assert.Equal(port, second.EndPoint.Port);
    }

    [Theory]
    [InlineData("9100", "127.0.0.1:9100")]
    [InlineData(":9100", "127.0.0.1:9100")]
    [InlineData("0.0.0.0:1", "0.0.0.0:1")]
    [InlineData("[::1]:9100", "[::1]:9100")]
    [InlineData("localhost:9100", "127.0.0.1:9100")]
    [InlineData("::1:9100", null)]
    [InlineData("127.0.0.1", null)]
    [InlineData("host:70000", null)]
    [InlineData("host:-1", null)]
    [InlineData("no-such-host.invalid:1", null)]
    [InlineData("", null)]
    public void Listen_addresses(string text, string? expected)
    {
        bool parsed = ListenAddress.TryParse(text, out IPEndPoint endPoint, out string error);
        Assert.Equal(expected, parsed ? endPoint.ToString() : null);
        Assert.Equal(parsed, error.Length == 0);
    }

    private string Ask(byte[] request, IPEndPoint? endPoint = null)
    {
        using var client = new TcpClient();
        client.Connect(endPoint ?? _endpoint.EndPoint);
        client.ReceiveTimeout = 10_000;
        NetworkStream stream = client.GetStream();
        stream.Write(request);
        client.Client.Shutdown(SocketShutdown.Send);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}
