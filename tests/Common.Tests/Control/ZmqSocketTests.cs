using System.Diagnostics;
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
        Capability.Require("ipv6", System.Net.Sockets.Socket.OSSupportsIPv6 && File.Exists("/proc/net/if_inet6")
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
