using System.Buffers.Binary;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Xunit;

namespace Hecatonchire.Tests.Serving;

/// <summary>
/// Bad input: each ends its own connection with an answer, a counted and logged reason, while another connection verifies
/// that it is not disturbed.
/// </summary>
public sealed class DataServerRefusalTests
{
    private static void Refused(
        RefusalReason reason, byte status, Func<ServerUnderTest, byte[]> sent, bool welcomedFirst = true)
    {
        using ServerUnderTest server = new();
        Verifier verifier = new(server);
        using RawPeer peer = new(server);
        if (welcomedFirst)
        {
            peer.Welcomed(server);
        }

        peer.Send(sent(server));
        byte[] answer = peer.ReceiveToEnd();
        Assert.Equal(welcomedFirst ? 32 : 64, answer.Length);
        Assert.Equal(status, welcomedFirst ? answer[5] : answer[8]);
        server.WaitFor(counters => counters.Refused(reason) == 1 && server.Log.Count >= 2, reason.ToString());
        Assert.Equal(1, server.Server.Counters.RefusedInAll());
        Assert.Contains(server.Log, line => line.StartsWith("Warning: ", StringComparison.Ordinal) && line.Contains($"{reason},", StringComparison.Ordinal));
        verifier.Finish();
        peer.Dispose();
        server.WaitFor(counters => counters.ConnectionsOpen == 0, "closing");
        Assert.Equal(0, server.Directory.Connections);
    }

    [Fact]
    public void A_refused_peer_that_stays_is_closed_all_the_same()
    {
        using ServerUnderTest server = new();
        using RawPeer peer = new RawPeer(server).Welcomed(server);
        peer.Send(RawPeer.Hello(server));
        server.WaitFor(counters => counters.Refused(RefusalReason.SecondHello) == 1, "refusal");
        server.WaitFor(counters => counters.ConnectionsOpen == 0, "closing");
        Assert.Equal(0, server.Directory.Connections);
    }

    private static byte[] Changed(byte[] frame, int place, byte value)
    {
        frame[place] = value;
        return frame;
    }

    [Fact]
    public void A_first_frame_that_is_no_hello() =>
        Refused(RefusalReason.Malformed, 1, _ => new byte[64], welcomedFirst: false);

    [Fact]
    public void A_hello_of_another_version() =>
        Refused(RefusalReason.Version, 2, server => Changed(RawPeer.Hello(server), 4, 2), welcomedFirst: false);

    [Theory]
    [InlineData(6)]
    [InlineData(8)]
    [InlineData(15)]
    public void A_hello_with_a_wrong_field(int place) =>
        Refused(RefusalReason.Malformed, 1, server => Changed(RawPeer.Hello(server), place, 9), welcomedFirst: false);

    [Fact]
    public void A_wrong_token() =>
        Refused(RefusalReason.Token, 3, server => RawPeer.Hello(server, new byte[32]), welcomedFirst: false);

    [Fact]
    public void A_token_of_another_demander() =>
        Refused(RefusalReason.Token, 3, server => Changed(RawPeer.Hello(server), 20, 77), welcomedFirst: false);

    [Fact]
    public void A_reused_token()
    {
        using ServerUnderTest server = new();
        byte[] token = server.Directory.NewToken(server.Demander);
        using RawPeer first = new(server);
        first.Send(RawPeer.Hello(server, token));
        Assert.Equal(0, first.Receive(64)[8]);
        using RawPeer second = new(server);
        second.Send(RawPeer.Hello(server, token));
        Assert.Equal(3, second.ReceiveToEnd()[8]);
        server.WaitFor(counters => counters.Refused(RefusalReason.Token) == 1, "counting");
        first.Send(RawPeer.Request(1, server.Slab, 0, 1));
        Assert.Equal(0, first.Receive(32 + 4096)[5]);
    }

    [Fact]
    public void A_second_hello() => Refused(RefusalReason.SecondHello, 1, server => RawPeer.Hello(server));

    [Fact]
    public void A_bad_request_magic() =>
        Refused(RefusalReason.Malformed, 1, server => Changed(RawPeer.Request(1, server.Slab, 0, 1), 0, 0));

    [Theory]
    [InlineData(4, 0)]
    [InlineData(4, 3)]
    [InlineData(5, 1)]
    [InlineData(20, 1)]
    [InlineData(23, 0x80)]
    public void A_request_with_a_wrong_field(int place, byte value) =>
        Refused(RefusalReason.Malformed, 1, server => Changed(RawPeer.Request(1, server.Slab, 0, 1), place, value));

    [Theory]
    [InlineData(1, 0)]
    [InlineData(1, 257)]
    [InlineData(2, 0)]
    [InlineData(2, 65535)]
    public void A_count_out_of_range(byte op, int pages) =>
        Refused(RefusalReason.OutOfRange, 5, server => RawPeer.Request(op, server.Slab, 0, pages, payload: false));

    [Theory]
    [InlineData(1, 2048, 1)]
    [InlineData(2, 2047, 2)]
    [InlineData(1, uint.MaxValue, 256)]
    [InlineData(2, uint.MaxValue - 3, 4)]
    public void Slots_outside_the_slab(byte op, uint slot, int pages) =>
        Refused(RefusalReason.OutOfRange, 5, server => RawPeer.Request(op, server.Slab, slot, pages));

    [Fact]
    public void A_slab_of_another_demander() =>
        Refused(RefusalReason.NoSuchSlab, 4, server =>
        {
            ulong other = 0;
            server.Server.RunBetweenRequests(() => other = server.Directory.AddSlab(server.Directory.NewDemander(), 16));
            return RawPeer.Request(1, other, 0, 1);
        });

    [Fact]
    public void The_refusal_arrives_although_the_peer_goes_on_sending() =>
        Refused(RefusalReason.OutOfRange, 5, server => [
            .. RawPeer.Request(2, server.Slab, 5000, 256), .. RawPeer.Request(2, server.Slab, 0, 256), .. new byte[3 << 20]]);

    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    [InlineData(64 + 31)]
    [InlineData(64 + 32 + 4096)]
    [InlineData(64 + 32 + 8191)]
    public void A_frame_cut_short(int bytes)
    {
        using ServerUnderTest server = new();
        Verifier verifier = new(server);
        using (RawPeer peer = new(server))
        {
            byte[] all = [.. RawPeer.Hello(server), .. RawPeer.Request(2, server.Slab, 0, 2)];
            peer.Send(all.AsSpan(0, bytes));
            peer.Socket.Shutdown(System.Net.Sockets.SocketShutdown.Send);
            Assert.Equal(bytes < 64 ? 0 : 64, peer.ReceiveToEnd().Length);
        }

        server.WaitFor(counters => counters.Refused(RefusalReason.Truncated) == 1 && server.Log.Count >= 2, "truncated");
        Assert.Contains(server.Log, line => line.Contains("Truncated", StringComparison.Ordinal));
        verifier.Finish();
    }

    [Fact]
    public void A_hello_that_never_comes()
    {
        using ServerUnderTest server = new(new DataServerOptions { HelloDeadline = TimeSpan.FromMilliseconds(30) });
        Verifier verifier = new(server);
        using RawPeer silent = new(server);
        using RawPeer slow = new(server);
        slow.Send(RawPeer.Hello(server).AsSpan(0, 63));
        Assert.Empty(silent.ReceiveToEnd());
        Assert.Empty(slow.ReceiveToEnd());
        server.WaitFor(counters => counters.Refused(RefusalReason.HelloTimeout) == 2, "hello timeout");
        verifier.Finish();
    }

    [Fact]
    public void Requests_may_follow_the_hello_at_once()
    {
        using ServerUnderTest server = new();
        using RawPeer peer = new(server);
        peer.Send([.. RawPeer.Hello(server), .. RawPeer.Request(2, server.Slab, 3, 1, id: 1), .. RawPeer.Request(1, server.Slab, 3, 1, id: 2)]);
        byte[] answer = peer.Receive(64 + 32 + 32 + 4096);
        Assert.Equal([0, 0, 0], [answer[8], answer[64 + 5], answer[96 + 5]]);
        Assert.Equal(2ul, BinaryPrimitives.ReadUInt64LittleEndian(answer.AsSpan(96 + 24)));
    }

    [Fact]
    public void One_connection_too_many_is_told_so()
    {
        using ServerUnderTest server = new(new DataServerOptions { ConnectionsMax = 2 });
        using TcpDataConnection first = server.Connect();
        using (TcpDataConnection second = server.Connect())
        {
            DataConnectionException failure = Assert.Throws<DataConnectionException>(() => server.Connect());
            Assert.Equal(DataConnectionFailure.Busy, failure.Failure);
        }

        server.WaitFor(counters => counters.ConnectionsOpen == 1, "closing");
        using TcpDataConnection again = server.Connect();
        server.WaitFor(counters => counters.Refused(RefusalReason.TooManyConnections) == 1, "counting");
    }

    [Fact]
    public void A_flood_of_refusals_does_not_fill_the_log()
    {
        using ServerUnderTest server = new();
        for (int i = 0; i < 200; i++)
        {
            using RawPeer peer = new(server);
            peer.Send(new byte[64]);
            Assert.Equal(64, peer.ReceiveToEnd().Length);
        }

        server.WaitFor(counters => counters.Refused(RefusalReason.Malformed) == 200, "counting");
        Assert.InRange(server.Log.Count, RefusalLog.LinesPerWindow, (2 * RefusalLog.LinesPerWindow) + 2);
    }
}
