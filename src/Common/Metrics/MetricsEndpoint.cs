using System.Net;
using System.Net.Sockets;
using System.Text;
using Hecatonchire.Page;

namespace Hecatonchire.Metrics;

/// <summary>
/// Serves GET /metrics, and where the daemon has one its status page (/ and /status.json), over HTTP/1.1, one request per connection, on the thread pool: no thread of the
/// data path takes part. Everything a client can do is bounded: size and time of its request, and how many are served at once. Nobody can change anything here.
/// </summary>
internal sealed class MetricsEndpoint : IDisposable
{
    /// <summary>A scraper or two, and somebody with curl; more wait in the listen queue.</summary>
    private const int ConnectionsMax = 8;

    /// <summary>Of all but /metrics: a browser does not guess, keep or tell on.</summary>
    private const string PageHeaders =
        "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n";

    private const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>For reading a request and writing its answer; a scrape takes milliseconds.</summary>
    private static readonly TimeSpan RequestTimeMax = TimeSpan.FromSeconds(5);

    private readonly MetricsRegistry _registry;
    private readonly Func<byte[]>? _status;
    private readonly Socket _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _places = new(ConnectionsMax);
    private readonly Task _accepting;

    private MetricsEndpoint(Socket listener, MetricsRegistry registry, Func<byte[]>? status)
    {
        (_listener, _registry, _status) = (listener, registry, status);
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Where it listens, with the port that was really taken.</summary>
    public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndPoint!;

    /// <summary>Listens on <paramref name="hostPort"/> (see <see cref="ListenAddress"/>).</summary>
    /// <param name="hostPort">Where to listen.</param>
    /// <param name="registry">The figures.</param>
    /// <param name="status">Gives /status.json, UTF-8, on the thread pool and several at once; null: there is no page.</param>
    /// <exception cref="IOException">With one line for the user: not an address, or the port is taken.</exception>
    public static MetricsEndpoint Start(string hostPort, MetricsRegistry registry, Func<byte[]>? status = null)
    {
        if (!ListenAddress.TryParse(hostPort, out IPEndPoint endPoint, out string error))
        {
            throw new IOException($"--metrics: {error}");
        }

        var listener = new Socket(endPoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            listener.Bind(endPoint);
            listener.Listen(ConnectionsMax);
        }
        catch (SocketException e)
        {
            listener.Dispose();
            string reason = e.SocketErrorCode == SocketError.AddressAlreadyInUse
                ? "another program listens there; choose another port (0 for any free one)"
                : e.Message;
            throw new IOException($"--metrics: cannot listen on {endPoint}: {reason}", e);
        }

        return new MetricsEndpoint(listener, registry, status);
    }

    /// <summary>Returns when the last request in progress has ended or been cut off.</summary>
    public void Dispose()
    {
        _stop.Cancel();
        _accepting.Wait();
        for (int i = 0; i < ConnectionsMax; i++)
        {
            _places.Wait();
        }

        _listener.Dispose();
        _places.Dispose();
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            bool placed = false;
            try
            {
                await _places.WaitAsync(_stop.Token);
                placed = true;
                Socket client = await _listener.AcceptAsync(_stop.Token);
                placed = false;
                _ = Task.Run(() => ServeAsync(client));
            }
            catch (OperationCanceledException)
            {
            }
            catch (SocketException)
            {
                // Descriptors have run out, or the client was gone again: the next one may fare better, but not in a tight loop.
                await Task.Delay(100, CancellationToken.None);
            }
            finally
            {
                if (placed)
                {
                    _places.Release();
                }
            }
        }
    }

    private async Task ServeAsync(Socket client)
    {
        try
        {
            using (client)
            using (var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token))
            {
                limit.CancelAfter(RequestTimeMax);
                await AnswerAsync(client, limit.Token);
            }
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException)
        {
            // The client went away or was too slow: nobody is left to answer.
        }
        finally
        {
            _places.Release();
        }
    }

    private async Task AnswerAsync(Socket client, CancellationToken cancel)
    {
        byte[] head = new byte[HttpHead.BytesMax];
        int length = 0, end = -1;
        while (end < 0 && length < head.Length)
        {
            int read = await client.ReceiveAsync(head.AsMemory(length), cancel);
            if (read == 0)
            {
                break;
            }

            length += read;
            end = HttpHead.FindEnd(head.AsSpan(0, length));
        }

        if (length == 0)
        {
            return;
        }

        byte[] answer = end < 0 && length == head.Length
            ? Plain("431 Request Header Fields Too Large", "the request head exceeds 8 KiB")
            : Respond(head.AsSpan(0, Math.Max(end, 0)), client.LocalEndPoint is IPEndPoint { Address: var local } && IPAddress.IsLoopback(local));
        for (int sent = 0; sent < answer.Length;)
        {
            sent += await client.SendAsync(answer.AsMemory(sent), cancel);
        }

        // Closing with unread input makes the kernel send a reset, which may take the answer with it.
        client.Shutdown(SocketShutdown.Send);
        while (await client.ReceiveAsync(head, cancel) > 0)
        {
        }
    }

    private byte[] Respond(ReadOnlySpan<byte> head, bool isLoopback)
    {
        if (!HttpHead.TryParse(head, out HttpHead request))
        {
            return Plain("400 Bad Request", "not an HTTP/1.1 request");
        }

        if (request.Method is not ("GET" or "HEAD"))
        {
            return Plain("405 Method Not Allowed", "only GET", "Allow: GET, HEAD\r\n");
        }

        bool withBody = request.Method == "GET";
        if (request.Path != "/metrics" && isLoopback && !request.IsForThisHost)
        {
            return Plain("421 Misdirected Request", "that name is not this host's: ask 127.0.0.1 or localhost", withBody: withBody);
        }

        try
        {
            return request.Path switch
            {
                "/metrics" => Build("200 OK", ContentType, _registry.Collect(), "", withBody),
                "/" when _status is not null =>
                    Build("200 OK", "text/html; charset=utf-8", StatusPage.Document, $"{PageHeaders}Content-Security-Policy: {StatusPage.Policy}\r\n", withBody),
                "/status.json" when _status is not null => Build("200 OK", "application/json", _status(), PageHeaders, withBody),
                _ => Plain("404 Not Found", _status is null ? "the metrics are at /metrics" : "the status page is at /, the metrics are at /metrics", withBody: withBody),
            };
        }
#pragma warning disable CA1031 // An observer's failure is the scraper's to see; it must not end the program.
        catch (Exception e)
#pragma warning restore CA1031
        {
            return Plain("500 Internal Server Error", $"an instrument failed: {e.Message}", withBody: withBody);
        }
    }

    private static byte[] Plain(string status, string text, string header = "", bool withBody = true) =>
        Build(status, "text/plain; charset=utf-8", Encoding.UTF8.GetBytes($"{text}\n"), header, withBody);

    private static byte[] Build(string status, string contentType, byte[] body, string header, bool withBody)
    {
        byte[] head = Encoding.UTF8.GetBytes($"HTTP/1.1 {status}\r\nContent-Type: {contentType}\r\n"
            + $"Content-Length: {body.Length}\r\n{header}Connection: close\r\n\r\n");
        return withBody ? [.. head, .. body] : head;
    }
}
