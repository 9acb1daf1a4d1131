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

/// <summary>What a demander that says whatever it likes over TCP can have of what another has lent: nothing.</summary>
public sealed unsafe class IsolationTests : IDisposable
{
    private const byte Ok = 0, WrongToken = 3, NoSuchSlab = 4, OutOfRange = 5;
    private const byte Read = 1, Write = 2;
    private const int Seed = 20261126;
    private const long SlabBytes = 64 * SponsorUnderTest.MiB;
    private const uint Slots = (uint)(SlabBytes >> PageSize.Shift);
    private const uint Secret = 0x5EC2E7;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(20);

    private readonly SponsorUnderTest _sponsor = new();
    private readonly SponsorClient _owner;
    private readonly SponsorClient _thief;
    private readonly ulong _slab;
    private readonly ulong _own;

    public IsolationTests()
    {
        (_owner, _thief) = (_sponsor.Connect(), _sponsor.Connect());
        (_slab, _own) = (_owner.AllocateSlab(SlabBytes).Slab, _thief.AllocateSlab(SlabBytes).Slab);
        using TcpDataConnection connection = Open(_owner);
        using PageBuffer page = new(1);
        foreach (uint slot in (uint[])[0, 1, Slots - 1])
        {
            PageBuffer.Fill(page.Memory, slot, Secret);
            Do(connection, Write, _slab, slot, page.Memory);
        }
    }

    public void Dispose()
    {
        AssertUntouched();
        _owner.Dispose();
        _thief.Dispose();
        _sponsor.Dispose();
    }

    [Theory]
    [InlineData(Read)]
    [InlineData(Write)]
    public void A_slab_of_another_is_no_slab(byte op)
    {
        Assert.Equal((NoSuchSlab, 0), Ask(op, _slab, 0, 1));
        var random = new Random(Seed);
        foreach (ulong slab in (ulong[])[0, _own + 1, ulong.MaxValue, _slab | (1UL << 32), .. Enumerable.Range(0, 20).Select(_ => (ulong)random.NextInt64())])
        {
            Assert.Equal((NoSuchSlab, 0), Ask(op, slab, 0, 1));
        }
    }

    [Theory]
    [InlineData(Read)]
    [InlineData(Write)]
    public void What_lies_behind_a_slab_is_not_reached_through_it(byte op)
    {
        Assert.Equal((Ok, op == Read ? PageSize.Bytes : 0), Ask(op, _own, Slots - 1, 1));
        foreach ((uint slot, int pages) in (ReadOnlySpan<(uint, int)>)[
            (Slots, 1), (Slots - 1, 2), (Slots - 255, 256), (uint.MaxValue, 1), (uint.MaxValue, 256), (uint.MaxValue - 254, 255), (0, 0), (0, 257), (0, ushort.MaxValue)])
        {
            Assert.Equal((OutOfRange, 0), Ask(op, _own, slot, pages));
        }
    }

    [Fact]
    public void A_slab_that_was_given_back_is_no_slab_also_where_another_has_it_now()
    {
        _thief.FreeSlab(_own);
        using SponsorClient next = _sponsor.Connect();
        _ = next.AllocateSlab(SlabBytes);
        Assert.Equal((NoSuchSlab, 0), Ask(Read, _own, 0, 1));
        Assert.Equal((NoSuchSlab, 0), Ask(Write, _own, 0, 1));
    }

    [Fact]
    public void A_token_opens_a_connection_of_whom_it_was_made_for_once()
    {
        Assert.Equal(WrongToken, Hello(_thief.Demander, _owner.RequestToken().Token));
        Assert.Equal(WrongToken, Hello(_owner.Demander, _thief.RequestToken().Token));
        Assert.Equal(WrongToken, Hello(_owner.Demander, new byte[32]));
        byte[] token = _owner.RequestToken().Token;
        Assert.Equal(Ok, Hello(_owner.Demander, token));
        Assert.Equal(WrongToken, Hello(_owner.Demander, token));

        // Tried in vain, it is not used up.
        token = _owner.RequestToken().Token;
        Assert.Equal(WrongToken, Hello(_thief.Demander, token));
        Assert.Equal(Ok, Hello(_owner.Demander, token));
    }

    [Fact]
    public void The_control_channel_gives_nothing_of_another_away_either()
    {
        using RawClient raw = new(_sponsor);
        Assert.IsType<HelloAnswer>(raw.Ask(new HelloRequest(1, Guid.NewGuid(), "thief")));
        foreach (ControlRequest request in (ControlRequest[])[new FreeRequest(2, _slab), new KeyRequest(3, _slab, 0)])
        {
            Assert.Equal(ErrorCode.NoSuchSlab, Assert.IsType<ErrorAnswer>(raw.Ask(request)).Code);
        }

        Assert.Empty(Assert.IsType<ListAnswer>(raw.Ask(new ListRequest(4))).Slabs);
        Assert.IsType<ResetAnswer>(raw.Ask(new ResetRequest(5)));
        Assert.Equal(_slab, Assert.Single(_owner.ListSlabs()).Slab);
    }

    [Fact]
    public void A_freed_slab_is_zeros_for_whoever_has_its_memory_next()
    {
        // Everything that is offered but the owner's, so that there is no other memory to lend.
        const int Slabs = 3, Pages = 256;
        using PageBuffer pages = new(Pages);
        for (int round = 0; round < 2; round++)
        {
            using SponsorClient client = _sponsor.Connect();
            ulong[] slabs = round == 0
                ? [_own, .. Enumerable.Range(0, Slabs - 1).Select(_ => _thief.AllocateSlab(SlabBytes).Slab)]
                : [.. Enumerable.Range(0, Slabs).Select(_ => client.AllocateSlab(SlabBytes).Slab)];
            using TcpDataConnection connection = Open(round == 0 ? _thief : client);
            foreach (ulong slab in slabs)
            {
                for (uint slot = 0; slot < Slots; slot += Pages)
                {
                    pages.Span(0, Pages).Fill(0x5E);
                    Do(connection, round == 0 ? Write : Read, slab, slot, pages.Memory, Pages);
                    Assert.True(round == 0 || pages.Span(0, Pages).IndexOfAnyExcept((byte)0) < 0, $"slot {slot} and what follows has what another wrote");
                }
            }

            foreach (ulong slab in slabs)
            {
                (round == 0 ? _thief : client).FreeSlab(slab);
            }
        }
    }

    private static void Do(TcpDataConnection connection, byte op, ulong slab, uint slot, byte* memory, int pages = 1)
    {
        Assert.True(op == Read ? connection.TryPostRead(1, slab, slot, pages, memory) : connection.TryPostWrite(1, slab, slot, pages, memory));
        connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(connection, 1)[1]);
    }

    private TcpDataConnection Open(SponsorClient client) =>
        TcpDataConnection.Connect(new IPEndPoint(IPAddress.Loopback, _sponsor.Data.Port), client.Demander, client.RequestToken().Token, s_deadline);

    private void AssertUntouched()
    {
        using TcpDataConnection connection = Open(_owner);
        using PageBuffer page = new(1);
        foreach (uint slot in (uint[])[0, 1, Slots - 1])
        {
            Do(connection, Read, _slab, slot, page.Memory);
            Assert.True(PageBuffer.Holds(page.Memory, slot, Secret), $"slot {slot} was changed");
        }
    }

    private byte Hello(Guid demander, byte[] token)
    {
        using Socket socket = Connect();
        return Hello(socket, demander, token);
    }

    private Socket Connect()
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            ReceiveTimeout = (int)s_deadline.TotalMilliseconds,
        };
        socket.Connect(IPAddress.Loopback, _sponsor.Data.Port);
        return socket;
    }

    private static byte Hello(Socket socket, Guid demander, byte[] token)
    {
        byte[] hello = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(hello, 0x31434548);
        hello[4] = hello[6] = 1;
        WireId.ToBytes(demander).CopyTo(hello.AsSpan(16));
        token.CopyTo(hello, 32);
        socket.Send(hello);
        byte[] welcome = Receive(socket, 64);
        Assert.Equal(64, welcome.Length);
        return welcome[8];
    }

    /// <summary>As the thief, on a connection of its own: the status, and how many bytes came with it.</summary>
    private (byte Status, int Bytes) Ask(byte op, ulong slab, uint slot, int pages)
    {
        using Socket socket = Connect();
        Assert.Equal(Ok, Hello(socket, _thief.Demander, _thief.RequestToken().Token));
        byte[] request = RawPeer.Request(op, slab, slot, pages, payload: false);
        byte[] payload = op == Write ? new byte[Math.Min(pages, 4) * PageSize.Bytes] : [];
        try
        {
            socket.Send([.. request, .. payload]);
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // Refused before all of it was sent.
        }

        byte[] answer = Receive(socket, int.MaxValue);
        return (answer[5], answer.Length - 32);
    }

    private static byte[] Receive(Socket socket, int count)
    {
        List<byte> all = [];
        byte[] part = new byte[4096];
        while (all.Count < count && socket.Receive(part, 0, Math.Min(part.Length, count - all.Count), SocketFlags.None) is > 0 and int got)
        {
            all.AddRange(part.AsSpan(0, got));
        }

        return [.. all];
    }
}
