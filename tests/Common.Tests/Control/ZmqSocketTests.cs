using System.Diagnostics;
using System.Net.Sockets;
using Hecatonchire.Control;
using Hecatonchire.Control.ZeroMq;
using Xunit;

namespace Hecatonchire.Tests.Control;

public sealed class ZmqSocketTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(10);

    private readonly ZmqContext _context;
    private readonly WakeSignal _wake = new();

    public ZmqSocketTests()
    {
        Capability.RequireZmq();
        _context = ZmqContext.Create();
    }

    public void Dispose()
    {
        _context.Dispose();
        _wake.Dispose();
    }

    [Fact]
    public void A_dealer_reaches_a_router_and_is_answered()
    {
        CurveKeyPair server = CurveKeyPair.Create();
        using ZmqSocket router = ZmqSocket.CreateRouter(_context, server);
        int port = router.Bind("127.0.0.1", 0);
        Assert.NotEqual(0, port);
        using ZmqSocket dealer = ZmqSocket.CreateDealer(_context, CurveKeyPair.Create(), server.PublicZ85);
        dealer.Connect("127.0.0.1", port);
        Assert.True(dealer.TrySend("ping"u8));

        (byte[] identity, bool more) = Receive(router);
        Assert.True(more);
        (byte[] question, more) = Receive(router);
        Assert.False(more);
        Assert.Equal("ping"u8, question);
        Assert.True(router.TrySend(identity, more: true));
        Assert.True(router.TrySend("pong"u8));
        Assert.Equal("pong"u8, Receive(dealer).Frame);
    }

    [Fact]
    public void The_ipv6_loopback_works_too()
    {
        Capability.Require("ipv6", Socket.OSSupportsIPv6 && File.Exists("/proc/net/if_inet6")
            && File.ReadAllText("/proc/net/if_inet6").Contains(" lo", StringComparison.Ordinal), "no IPv6 loopback");
        CurveKeyPair server = CurveKeyPair.Create();
        using ZmqSocket router = ZmqSocket.CreateRouter(_context, server);
        int port = router.Bind("::1", 0);
        using ZmqSocket dealer = ZmqSocket.CreateDealer(_context, CurveKeyPair.Create(), server.PublicZ85);
        dealer.Connect("::1", port);
        Assert.True(dealer.TrySend("ping"u8));
        Receive(router);
        Assert.Equal("ping"u8, Receive(router).Frame);
    }

    [Fact]
    public void A_frame_above_the_limit_ends_only_the_connection_that_sent_it()
    {
        CurveKeyPair server = CurveKeyPair.Create();
        using ZmqSocket router = ZmqSocket.CreateRouter(_context, server);
        int port = router.Bind("127.0.0.1", 0);
        using ZmqSocket bad = ZmqSocket.CreateDealer(_context, CurveKeyPair.Create(), server.PublicZ85);
        bad.Connect("127.0.0.1", port);
        Assert.True(bad.TrySend(new byte[ZmqSocket.FrameBytesMax + 1]));
        using ZmqSocket good = ZmqSocket.CreateDealer(_context, CurveKeyPair.Create(), server.PublicZ85);
        good.Connect("127.0.0.1", port);
        Assert.True(good.TrySend(new byte[ZmqSocket.FrameBytesMax - 64]));
        Receive(router);
        Assert.Equal(ZmqSocket.FrameBytesMax - 64, Receive(router).Frame.Length);

        // What follows the oversize frame on its (new) connection arrives; the frame itself never does.
        Assert.True(bad.TrySend("after"u8));
        Receive(router);
        Assert.Equal("after"u8, Receive(router).Frame);
    }

    [Theory]
    [InlineData("a browser")]
    [InlineData("ZMTP 1.0")]
    [InlineData("ZMTP 2.0")]
    [InlineData("NULL")]
    [InlineData("CURVE without a handshake")]
    [InlineData("CURVE with a message in the handshake")]
    public void What_is_said_without_CURVE_is_never_heard(string how)
    {
        CurveKeyPair server = CurveKeyPair.Create();
        using ZmqSocket router = ZmqSocket.CreateRouter(_context, server);
        int port = router.Bind("127.0.0.1", 0);
        byte[] message = [0, 4, .. "evil"u8];
        byte[] said = how switch
        {
            "a browser" => "GET / HTTP/1.1\r\nHost: x\r\nAccept: text/html\r\n\r\n"u8.ToArray(),
            "ZMTP 1.0" => [1, 0, 5, 0, .. "evil"u8, 5, 0, .. "evil"u8],
            "ZMTP 2.0" => [0xFF, 0, 0, 0, 0, 0, 0, 0, 1, 0x7F, 1, 5, 0, 0, .. message],
            "NULL" => [.. Greeting("NULL"u8), .. Command("\u0005READY\u000BSocket-Type\0\0\0\u0006DEALER"u8), .. message],
            "CURVE without a handshake" => [.. Greeting("CURVE"u8), .. message],
            _ => [.. Greeting("CURVE"u8), .. Command([.. "\u0007MESSAGE"u8, .. new byte[60]])],
        };
        using TcpClient peer = new("127.0.0.1", port);
        peer.GetStream().Write(said);
        ReadToEnd(peer);

        // Its connection has been ended, and what comes next from one that has the key is the first that is heard.
        using ZmqSocket dealer = ZmqSocket.CreateDealer(_context, CurveKeyPair.Create(), server.PublicZ85);
        dealer.Connect("127.0.0.1", port);
        Assert.True(dealer.TrySend("good"u8));
        Receive(router);
        Assert.Equal("good"u8, Receive(router).Frame);
    }

    [Theory]
    [InlineData("READY before WELCOME")]
    [InlineData("a WELCOME of another")]
    [InlineData("a message in the clear")]
    [InlineData("NULL")]
    [InlineData("ZMTP 1.0")]
    public void A_server_without_the_key_is_neither_heard_nor_harmful(string how)
    {
        using TcpListener listener = new(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        using ZmqSocket dealer = ZmqSocket.CreateDealer(_context, CurveKeyPair.Create(), CurveKeyPair.Create().PublicZ85);
        dealer.Connect("127.0.0.1", ((System.Net.IPEndPoint)listener.LocalEndpoint).Port);
        byte[] said = how switch
        {
            "READY before WELCOME" => [.. Greeting("CURVE"u8), .. Command([.. "\u0005READY"u8, .. new byte[40]])],
            "a WELCOME of another" => [.. Greeting("CURVE"u8), .. Command([.. "\u0007WELCOME"u8, .. new byte[160]])],
            "a message in the clear" => [.. Greeting("CURVE"u8), 0, 4, .. "evil"u8],
            "NULL" => [.. Greeting("NULL"u8), .. Command("\u0005READY"u8), 0, 4, .. "evil"u8],
            _ => [1, 0, 5, 0, .. "evil"u8],
        };

        Assert.True(listener.Server.Poll(Deadline, SelectMode.SelectRead), "the dealer does not come");
        using TcpClient peer = listener.AcceptTcpClient();
        peer.GetStream().Write(said);
        ReadToEnd(peer);
        Assert.False(dealer.TryReceive(new byte[ZmqSocket.FrameBytesMax], out _, out _));
    }

    [Fact]
    public void A_port_in_use_is_an_error_that_names_it()
    {
        using ZmqSocket first = ZmqSocket.CreateRouter(_context, CurveKeyPair.Create());
        int port = first.Bind("127.0.0.1", 0);
        using ZmqSocket second = ZmqSocket.CreateRouter(_context, CurveKeyPair.Create());
        ZmqException failure = Assert.Throws<ZmqException>(() => second.Bind("127.0.0.1", port));
        Assert.Contains($"127.0.0.1:{port}", failure.Message, StringComparison.Ordinal);
        Assert.Contains("in use", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_secret_key_gives_back_its_pair_and_is_not_printed()
    {
        CurveKeyPair keys = CurveKeyPair.Create();
        Assert.Equal(keys, CurveKeyPair.FromSecret(keys.SecretZ85));
        Assert.DoesNotContain(keys.SecretZ85, keys.ToString(), StringComparison.Ordinal);
        Assert.Null(CurveKeyPair.FromSecret("too short"));
        Assert.False(CurveKeyPair.IsKey(new string('~', CurveKeyPair.Z85Length)));
        Assert.False(CurveKeyPair.IsKey(null));
    }

    /// <summary>Of ZMTP 3.0: signature, version, mechanism, not as server, filler.</summary>
    private static byte[] Greeting(ReadOnlySpan<byte> mechanism)
    {
        byte[] greeting = new byte[64];
        greeting[0] = 0xFF;
        greeting[9] = 0x7F;
        greeting[10] = 3;
        mechanism.CopyTo(greeting.AsSpan(12));
        return greeting;
    }

    private static byte[] Command(ReadOnlySpan<byte> body) => [4, (byte)body.Length, .. body];

    /// <summary>Until the other side has ended the connection.</summary>
    private static void ReadToEnd(TcpClient peer)
    {
        peer.ReceiveTimeout = (int)Deadline.TotalMilliseconds;
        byte[] buffer = new byte[1024];
        try
        {
            while (peer.GetStream().Read(buffer) > 0)
            {
            }
        }
        catch (IOException e) when (e.InnerException is SocketException { SocketErrorCode: SocketError.ConnectionReset })
        {
        }
    }

    private (byte[] Frame, bool More) Receive(ZmqSocket socket)
    {
        byte[] buffer = new byte[ZmqSocket.FrameBytesMax];
        long started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < Deadline)
        {
            if (socket.TryReceive(buffer, out int length, out bool more))
            {
                return (buffer[..length], more);
            }

            socket.Wait(_wake.Descriptor, 100);
        }

        throw new TimeoutException("nothing arrived");
    }
}
