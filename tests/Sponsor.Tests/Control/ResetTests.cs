using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Tests.Serving;
using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Control;

/// <summary>The fence between a demander's old data connections and its new ones.</summary>
public sealed unsafe class ResetTests : IDisposable
{
    private const uint Slot = 5;
    private const uint Old = 1;
    private const uint New = 2;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    private readonly SponsorUnderTest _sponsor = new();
    private readonly SponsorClient _client;
    private readonly ulong _slab;

    public ResetTests()
    {
        _client = _sponsor.Connect();
        _slab = _client.AllocateSlab(64 * SponsorUnderTest.MiB).Slab;
    }

    [Fact]
    public void What_of_a_WRITE_comes_after_a_reset_is_not_applied()
    {
        using Socket old = OpenRaw();
        byte[] write = WriteRequest(Old);
        int half = write.Length - (PageSize.Bytes / 2);
        Send(old, write.AsSpan(0, half));
        WaitForFirstHalf();

        Reset();
        using TcpDataConnection fresh = Open();
        Write(fresh, New);
        try
        {
            Send(old, write.AsSpan(half));
        }
        catch (SocketException)
        {
        }

        Assert.True(IsEnded(old), "the old connection answered");
        AssertHolds(fresh, New);
    }

    [Fact]
    public void A_WRITE_that_lies_unread_in_the_socket_when_a_reset_comes_is_never_applied()
    {
        using Socket old = OpenRaw();
        _sponsor.Data.RunBetweenRequests(() =>
        {
            Send(old, WriteRequest(Old));
            _sponsor.Store.Reset(_client.Demander);
        });
        Assert.True(IsEnded(old), "the old connection answered");
        using TcpDataConnection fresh = Open();
        AssertHolds(fresh, version: 0);
        Assert.Equal(0, _sponsor.Data.Counters.PagesWritten);
    }

    [Fact]
    public void A_reset_voids_open_tokens_and_the_next_ones_are_good()
    {
        DataToken before = _client.RequestToken();
        Reset();
        Assert.Equal(DataConnectionFailure.Token, Assert.Throws<DataConnectionException>(() => Open(before)).Failure);
        using TcpDataConnection fresh = Open();
        Assert.False(fresh.IsBroken);
    }

    [Fact]
    public void A_reset_leaves_the_slabs_and_other_demanders_alone()
    {
        using SponsorClient other = _sponsor.Connect();
        DataToken token = other.RequestToken();
        using TcpDataConnection elsewhere = TcpDataConnection.Connect(
            new IPEndPoint(IPAddress.Loopback, token.Port), other.Demander, token.Token, Deadline);
        using (TcpDataConnection old = Open())
        {
            Write(old, Old);
            Reset();
            Completions.WaitUntilBroken(old);
        }

        using TcpDataConnection fresh = Open();
        AssertHolds(fresh, Old);
        Assert.Equal(2, _client.Stats().DataConnections);
        Assert.Equal(0, elsewhere.Poll(new DataCompletion[1]));
        Assert.False(elsewhere.IsBroken);
        Assert.Single(_client.ListSlabs());
    }

    [Fact]
    public void A_reset_of_a_sponsor_that_has_ended_says_so_long_before_its_deadline()
    {
        _sponsor.Dispose();
        long started = System.Diagnostics.Stopwatch.GetTimestamp();
        SponsorException failure = Assert.Throws<SponsorException>(Reset);
        Assert.Equal(SponsorErrorCode.Lost, failure.Code);
        Assert.InRange(System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalSeconds, 0, 5);
    }

    [Fact]
    public void A_reset_of_a_sponsor_that_was_started_again_says_that_all_is_lost()
    {
        int port = _sponsor.Control.Port;
        _sponsor.Dispose();
        using SponsorUnderTest second = new(_sponsor.Keys, port);
        Assert.Equal(SponsorErrorCode.Lost, Assert.Throws<SponsorException>(Reset).Code);
    }

    public void Dispose()
    {
        _client.Dispose();
        _sponsor.Dispose();
    }

    private void Reset() => _client.Reset(Deadline, CancellationToken.None);

    private TcpDataConnection Open(DataToken? token = null)
    {
        DataToken used = token ?? _client.RequestToken();
        return TcpDataConnection.Connect(new IPEndPoint(IPAddress.Loopback, used.Port), _client.Demander, used.Token, Deadline);
    }

    /// <summary>A connection that is past its HELLO and can send less than a frame.</summary>
    private Socket OpenRaw()
    {
        DataToken token = _client.RequestToken();
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            ReceiveTimeout = (int)Deadline.TotalMilliseconds,
        };
        socket.Connect(IPAddress.Loopback, token.Port);
        byte[] hello = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(hello, 0x31434548);
        hello[4] = hello[6] = 1;
        WireId.ToBytes(_client.Demander).CopyTo(hello.AsSpan(16));
        token.Token.CopyTo(hello, 32);
        Send(socket, hello);
        byte[] welcome = new byte[64];
        for (int got = 0; got < welcome.Length;)
        {
            got += socket.Receive(welcome.AsSpan(got));
        }

        Assert.Equal(0, welcome[8]);
        return socket;
    }

    private byte[] WriteRequest(uint version)
    {
        byte[] request = RawPeer.Request(2, _slab, Slot, 1);
        fixed (byte* bytes = request)
        {
            PageBuffer.Fill(bytes + 32, Slot, version);
        }

        return request;
    }

    private static void Send(Socket socket, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[socket.Send(bytes)..];
        }
    }

    private static bool IsEnded(Socket socket)
    {
        try
        {
            return socket.Receive(new byte[64]) == 0;
        }
        catch (SocketException failure) when (failure.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
            return true;
        }
    }

    private void Write(TcpDataConnection connection, uint version)
    {
        using PageBuffer page = new(1);
        PageBuffer.Fill(page.Memory, Slot, version);
        Assert.True(connection.TryPostWrite(1, _slab, Slot, 1, page.Memory));
        connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(connection, 1)[1]);
    }

    private void AssertHolds(TcpDataConnection connection, uint version)
    {
        using PageBuffer page = new(1);
        Read(connection, page);
        Assert.True(PageBuffer.Holds(page.Memory, Slot, version), $"slot {Slot} is not version {version}");
    }

    private void Read(TcpDataConnection connection, PageBuffer page)
    {
        Assert.True(connection.TryPostRead(1, _slab, Slot, 1, page.Memory));
        connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(connection, 1)[1]);
    }

    /// <summary>Returns once the sponsor has the first half of the old WRITE in the slot.</summary>
    private void WaitForFirstHalf()
    {
        using TcpDataConnection watch = Open();
        using PageBuffer page = new(1);
        Eventually.True(
            () =>
            {
                Read(watch, page);
                return *(ulong*)page.Memory != 0;
            },
            "the first half");
    }
}
