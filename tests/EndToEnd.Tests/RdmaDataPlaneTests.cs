using System.Diagnostics;
using System.Net;
using Hecatonchire.Control.Messages;
using Hecatonchire.Interop;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Serving.Rdma;
using Hecatonchire.Sponsor.Slabs;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Rdma;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>
/// The RDMA data plane on a real device: both ends in this process, over the address in HECA_RDMA_ADDRESS. Without one the tests are
/// skipped, unless HECA_REQUIRE names rdma; tests/vm runs them on soft RoCE.
/// </summary>
public sealed unsafe class RdmaDataPlaneTests : IDisposable
{
    private const long SlabBytes = 1 << 20;
    private const uint Slots = (uint)(SlabBytes / PageSize.Bytes);
    private const int BufferPages = 512;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(20);

    private readonly SlabStore? _store;
    private readonly RdmaServer? _server;
    private readonly byte* _buffer;
    private readonly IPAddress? _address;

    public RdmaDataPlaneTests()
    {
        string address = Environment.GetEnvironmentVariable("HECA_RDMA_ADDRESS") ?? "";
        if (address.Length == 0)
        {
            Assert.False((Environment.GetEnvironmentVariable("HECA_REQUIRE") ?? "").Split(',').Contains("rdma"), "no HECA_RDMA_ADDRESS");
            Assert.Skip("HECA_RDMA_ADDRESS names no address of an RDMA device");
        }

        _address = IPAddress.Parse(address);
        _store = new SlabStore(
            new SlabStoreOptions { OfferedBytes = 64 * SlabBytes, SlabBytesMin = SlabBytes, SlabBytesMax = SlabBytes }, TimeProvider.System);
        _server = new RdmaServer(new IPEndPoint(_address, 0), Guid.NewGuid(), _store, new DataServerOptions { ConnectionsMax = 4 },
            new DataServerCounters(), NullLogger<RdmaServer>.Instance);
        Assert.Null(_server.Start());
        _store.ServeWith(new NoLoop(), _server);
        _buffer = NativeMemoryMap.Populate(BufferPages << PageSize.Shift);
    }

    public void Dispose()
    {
        _server?.Dispose();
        _store?.Dispose();
        if (_buffer is not null)
        {
            _ = Libc.Unmap(_buffer, BufferPages << PageSize.Shift);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Pages_come_back_as_they_were_written_whatever_is_in_flight(int seed)
    {
        using Peer peer = Join();
        ulong slab = peer.Borrow();
        var random = new Random(seed);
        int[] versions = new int[Slots];
        bool[] busy = new bool[Slots];
        var flying = new Dictionary<ulong, (uint Slot, int Pages, int Place, bool IsWrite)>();
        var places = new Queue<int>(Enumerable.Range(0, BufferPages / 8));
        ulong cookie = 0;
        int version = 0;
        while (cookie < 1200 || flying.Count > 0)
        {
            for (int i = random.Next(12); i > 0 && cookie < 1200 && places.Count > 0; i--)
            {
                int pages = random.Next(1, 9);
                uint slot = (uint)random.Next((int)Slots - pages + 1);
                if (Enumerable.Range((int)slot, pages).Any(each => busy[each]))
                {
                    continue;
                }

                int place = places.Dequeue();
                byte* data = _buffer + ((nint)place * 8 * PageSize.Bytes);
                bool isWrite = random.Next(2) == 0;
                for (int page = 0; page < pages; page++)
                {
                    busy[slot + page] = true;
                    versions[slot + page] = isWrite ? ++version : versions[slot + page];
                    Fill(data + ((nint)page * PageSize.Bytes), slot + page, isWrite ? versions[slot + page] : -1);
                }

                Assert.True(isWrite
                    ? peer.Connection.TryPostWrite(++cookie, slab, slot, pages, data)
                    : peer.Connection.TryPostRead(++cookie, slab, slot, pages, data));
                flying.Add(cookie, (slot, pages, place, isWrite));
            }

            peer.Connection.Submit();
            foreach (DataCompletion completion in peer.Wait(flying.Count > 0 ? 1 : 0))
            {
                Assert.Equal(DataStatus.Done, completion.Status);
                Assert.True(flying.Remove(completion.Cookie, out var ended), "a request ended twice");
                byte* data = _buffer + ((nint)ended.Place * 8 * PageSize.Bytes);
                for (int page = 0; page < ended.Pages; page++)
                {
                    busy[ended.Slot + page] = false;
                    Check(data + ((nint)page * PageSize.Bytes), ended.Slot + page, versions[ended.Slot + page]);
                }

                places.Enqueue(ended.Place);
            }
        }

        Assert.False(peer.Connection.IsBroken);
    }

    [Fact]
    public void A_full_ring_of_requests_goes_out_and_ends()
    {
        using Peer peer = Join();
        ulong slab = peer.Borrow();
        int posted = 0;
        while (peer.Connection.FreeRequests > 0)
        {
            uint slot = (uint)(posted % Slots);
            Assert.True(posted % 3 == 0
                ? peer.Connection.TryPostRead((ulong)posted, slab, slot, 1, _buffer + ((nint)(posted % BufferPages) * PageSize.Bytes))
                : peer.Connection.TryPostWrite((ulong)posted, slab, slot, 1, _buffer + ((nint)(posted % BufferPages) * PageSize.Bytes)));
            posted++;
        }

        Assert.False(peer.Connection.TryPostRead(0, slab, 0, 1, _buffer));
        Assert.InRange(posted, 64, RdmaDataConnection.RequestsInFlightMax);
        peer.Connection.Submit();
        DataCompletion[] ended = peer.Wait(posted);
        Assert.Equal(Enumerable.Range(0, posted).Select(each => (ulong)each), ended.Select(each => each.Cookie).Order());
        Assert.All(ended, each => Assert.Equal(DataStatus.Done, each.Status));
    }

    [Fact]
    public void A_slab_that_was_freed_is_refused_and_ends_the_connection()
    {
        using Peer peer = Join();
        ulong slab = peer.Borrow();
        Assert.True(peer.Connection.TryPostWrite(1, slab, 0, 1, _buffer));
        peer.Connection.Submit();
        Assert.Equal(DataStatus.Done, Assert.Single(peer.Wait(1)).Status);
        Assert.Null(_store!.Free(peer.Id, slab));
        Assert.Equal(0, _server!.ExposedBytes);
        Assert.True(peer.Connection.TryPostRead(2, slab, 0, 1, _buffer));
        Assert.True(peer.Connection.TryPostRead(3, slab, 1, 1, _buffer));
        peer.Connection.Submit();
        DataCompletion[] ended = peer.Wait(2);
        Assert.Equal([(2UL, DataStatus.Refused), (3UL, DataStatus.Disconnected)], ended.Select(each => (each.Cookie, each.Status)));
        Assert.True(peer.Connection.IsBroken);
        Assert.False(peer.Connection.TryPostRead(4, slab, 0, 1, _buffer));
    }

    [Fact]
    public void Memory_that_is_not_registered_is_never_asked_for()
    {
        using Peer peer = Join();
        ulong slab = peer.Borrow();
        Assert.True(peer.Connection.TryPostRead(1, slab, Slots - 1, 1, _buffer));
        Assert.False(peer.Connection.TryPostRead(2, slab, Slots - 1, 2, _buffer));
        Assert.True(peer.Connection.IsBroken);
        Assert.Equal(1UL, Assert.Single(peer.Wait(1)).Cookie);
    }

    [Fact]
    public void A_demander_cannot_use_the_key_of_another()
    {
        using Peer owner = Join(), thief = Join();
        ulong slab = owner.Borrow();
        Assert.True(owner.Slabs.TryLocate(slab, 0, 1, out ulong address, out uint key));
        thief.Slabs.Set(slab, address, Slots, key);
        Assert.Equal(ErrorCode.NoSuchSlab, _store!.Expose(thief.Id, slab, thief.Connection.RemoteDomain, out _, out _)?.Code);
        Assert.Equal(ErrorCode.NoSuchDomain, _store.Expose(owner.Id, slab, thief.Connection.RemoteDomain, out _, out _)?.Code);
        Assert.NotEqual(owner.Connection.RemoteDomain, thief.Connection.RemoteDomain);
        Assert.True(thief.Connection.TryPostWrite(1, slab, 0, 1, _buffer));
        thief.Connection.Submit();
        Assert.Equal(DataStatus.Refused, Assert.Single(thief.Wait(1)).Status);

        // The owner notices nothing.
        Assert.True(owner.Connection.TryPostRead(1, slab, 0, 1, _buffer));
        owner.Connection.Submit();
        Assert.Equal(DataStatus.Done, Assert.Single(owner.Wait(1)).Status);
        Assert.Equal(-1, new Span<byte>(_buffer, PageSize.Bytes).IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void What_one_demander_had_is_zeros_for_the_next_and_his_old_keys_open_nothing()
    {
        const int Slabs = 64, Step = 64;
        using Peer first = Join(), next = Join();
        ulong[] slabs = [.. Enumerable.Range(0, Slabs).Select(_ => first.Borrow())];
        new Span<byte>(_buffer, Step << PageSize.Shift).Fill(0x5E);
        foreach (ulong slab in slabs)
        {
            for (uint slot = 0; slot < Slots; slot += Step)
            {
                Assert.Equal(DataStatus.Done, first.Do(isWrite: true, slab, slot, Step, _buffer));
            }
        }

        // All of it, so that there is no other memory to lend; where it was is remembered.
        var places = new Dictionary<ulong, uint>();
        foreach (ulong slab in slabs)
        {
            Assert.True(first.Slabs.TryLocate(slab, 0, 1, out ulong address, out uint key));
            places[address] = key;
            Assert.Null(_store!.Free(first.Id, slab));
        }

        foreach (ulong slab in Enumerable.Range(0, Slabs).Select(_ => next.Borrow()).ToArray())
        {
            for (uint slot = 0; slot < Slots; slot += Step)
            {
                Assert.Equal(DataStatus.Done, next.Do(isWrite: false, slab, slot, Step, _buffer));
                Assert.Equal(-1, new Span<byte>(_buffer, Step << PageSize.Shift).IndexOfAnyExcept((byte)0));
            }
        }

        // The first of the old keys ends the connection.
        (ulong where, uint old) = places.First();
        first.Slabs.Set(slabs[0], where, Slots, old);
        Assert.Equal(DataStatus.Refused, first.Do(isWrite: false, slabs[0], 0, 1, _buffer));
    }

    [Fact]
    public void Tokens_open_once_and_wrong_ones_never()
    {
        using Peer peer = Join();
        var failure = Assert.Throws<DataConnectionException>(() => Connect(peer.Id, peer.Token));
        Assert.Equal(DataConnectionFailure.Token, failure.Failure);
        failure = Assert.Throws<DataConnectionException>(() => Connect(Guid.NewGuid(), _store!.MakeToken(peer.Id)!));
        Assert.Equal(DataConnectionFailure.Token, failure.Failure);
    }

    [Fact]
    public void More_connections_than_it_takes_are_told_so()
    {
        Peer[] peers = [Join(), Join(), Join(), Join()];
        var failure = Assert.Throws<DataConnectionException>(() => Join());
        Assert.Equal(DataConnectionFailure.Busy, failure.Failure);
        foreach (Peer peer in peers)
        {
            peer.Dispose();
        }

        Eventually(() => _server!.ConnectionsOpen == 0);
        Join().Dispose();
    }

    [Fact]
    public void Nobody_there_is_told_at_once()
    {
        int port = _server!.Port;
        _server.Dispose();
        var failure = Assert.Throws<DataConnectionException>(
            () => RdmaDataConnection.Connect(new IPEndPoint(_address!, port), Guid.NewGuid(), new byte[32], s_patience, _ => new RemoteSlabs()));
        Assert.Equal(DataConnectionFailure.Unreachable, failure.Failure);
        Assert.Contains("nobody listens", failure.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(32)]
    [InlineData(RdmaHello.Bytes)]
    public void Requests_without_a_HELLO_are_refused_and_others_notice_nothing(byte bytes)
    {
        using Peer peer = Join();
        ulong slab = peer.Borrow();
        byte[] garbage = new byte[bytes];
        Array.Fill(garbage, (byte)0xA5);
        Assert.Equal(WireStatus.Malformed, Refuse(garbage));
        Assert.True(peer.Connection.TryPostRead(1, slab, 0, 1, _buffer));
        peer.Connection.Submit();
        Assert.Equal(DataStatus.Done, Assert.Single(peer.Wait(1)).Status);
    }

    [Fact]
    public void Private_data_from_a_seed_is_refused_each_time_and_leaves_nothing_behind()
    {
        int frames = int.Parse(Environment.GetEnvironmentVariable("HECA_FRAMES") is { Length: > 0 } given ? given : "100", System.Globalization.CultureInfo.InvariantCulture);
        var random = new Random(4711);
        using Peer peer = Join();
        ulong slab = peer.Borrow();
        byte[] right = new byte[RdmaHello.Bytes];
        for (int i = 0; i < frames; i++)
        {
            // The token is nobody's, so that what is right by chance is refused too.
            RdmaHello hello = new() { Magic = Frames.OpenMagic, Version = Frames.Version, Kind = Frames.KindHello };
            new ReadOnlySpan<byte>(&hello, RdmaHello.Bytes).CopyTo(right);
            random.NextBytes(right.AsSpan(RdmaHello.Bytes - Frames.TokenBytes));
            byte[] sent = random.Next(4) == 0 ? Fuzz.Mutation.Noise(random, random.Next(RdmaHello.Bytes + 1)) : Fuzz.Mutation.Of(right, random);
            Assert.Contains(
                Refuse(sent.AsSpan(0, Math.Min(sent.Length, RdmaHello.Bytes))), (WireStatus[])[WireStatus.Malformed, WireStatus.Version, WireStatus.Token]);
        }

        Eventually(() => _server!.ConnectionsOpen == 1);
        Assert.Equal(SlabBytes, _server!.ExposedBytes);
        Assert.Equal(DataStatus.Done, peer.Do(isWrite: false, slab, 0, 1, _buffer));
    }

    [Fact]
    public void An_idle_connection_wakes_when_the_sponsor_goes()
    {
        using Peer peer = Join();
        Assert.Empty(peer.Wait(0));
        Assert.True(((IDataConnection)peer.Connection).PrepareToWait());
        _server!.Dispose();
        PollDescriptor wait = new() { Descriptor = peer.Connection.WaitDescriptor, Events = Libc.POLLIN };
        Assert.Equal(1, Libc.Poll(&wait, 1, (int)s_patience.TotalMilliseconds));
        Assert.Empty(peer.Wait(0));
        Assert.True(peer.Connection.IsBroken);
        Assert.Equal("the sponsor closed the connection", peer.Connection.BreakReason);
    }

    [Fact]
    public void Dropped_connections_end_with_everything_in_flight_and_the_demander_may_come_again()
    {
        using Peer peer = Join();
        ulong slab = peer.Borrow();
        for (int i = 0; i < 32; i++)
        {
            Assert.True(peer.Connection.TryPostWrite((ulong)i, slab, (uint)i, 1, _buffer + ((nint)i * PageSize.Bytes)));
        }

        Assert.True(_store!.TryRedeem(_store.MakeToken(peer.Id)!, WireId.ToBytes(peer.Id), out DemanderHandle handle));
        _server!.DropConnections(handle);
        peer.Connection.Submit();
        Assert.All(peer.Wait(32), each => Assert.Equal(DataStatus.Disconnected, each.Status));
        Assert.True(peer.Connection.IsBroken);

        // With the last connection its domain went, and the keys of it.
        Assert.Equal(0, _server.ExposedBytes);
        using Peer again = Join(peer.Id);
        Assert.NotEqual(peer.Connection.RemoteDomain, again.Connection.RemoteDomain);
        Assert.Null(_store.Expose(peer.Id, slab, again.Connection.RemoteDomain, out ulong address, out uint key));
        again.Slabs.Set(slab, address, Slots, key);
        Assert.True(again.Connection.TryPostRead(1, slab, 0, 1, _buffer));
        again.Connection.Submit();
        Assert.Equal(DataStatus.Done, Assert.Single(again.Wait(1)).Status);
    }

    private static void Fill(byte* page, long slot, int version)
    {
        var words = new Span<long>(page, PageSize.Bytes / sizeof(long));
        for (int i = 0; i < words.Length; i++)
        {
            words[i] = (((slot << 32) + version) * 0x9E3779B97F4A7C1) + i;
        }
    }

    private static void Check(byte* page, long slot, int version)
    {
        if (version == 0)
        {
            Assert.Equal(-1, new Span<byte>(page, PageSize.Bytes).IndexOfAnyExcept((byte)0));
            return;
        }

        byte[] expected = new byte[PageSize.Bytes];
        fixed (byte* at = expected)
        {
            Fill(at, slot, version);
        }

        Assert.True(expected.AsSpan().SequenceEqual(new Span<byte>(page, PageSize.Bytes)), $"slot {slot} is not of version {version}");
    }

    /// <summary>A connection request with that private data, and what its rejection says.</summary>
    private WireStatus Refuse(ReadOnlySpan<byte> privateData)
    {
        nint channel, id, domain;
        int descriptor;
        RdmaQueue queue = default;
        Assert.Equal(0, RdmaLibrary.OpenChannel(&channel, &descriptor));
        Assert.Equal(0, RdmaLibrary.OpenId(channel, &id));
        byte[] address = [.. new IPEndPoint(_address!, _server!.Port).Serialize().Buffer.Span];
        fixed (byte* at = address)
        {
            Assert.Equal(0, RdmaLibrary.ResolveAddress(id, at, 5000));
        }

        Assert.Equal(RdmaEventKind.AddressResolved, Next(channel).Kind);
        Assert.Equal(0, RdmaLibrary.ResolveRoute(id, 5000));
        Assert.Equal(RdmaEventKind.RouteResolved, Next(channel).Kind);
        Assert.Equal(0, RdmaLibrary.OpenDomain(id, &domain));
        var options = new RdmaQueueOptions { Requests = 4, Receives = 1 };
        Assert.Equal(0, RdmaLibrary.OpenQueue(id, domain, &options, &queue));
        byte* data = stackalloc byte[256];
        privateData.CopyTo(new Span<byte>(data, 256));
        Assert.Equal(0, RdmaLibrary.Connect(id, data, (byte)privateData.Length, 1));
        RdmaEvent refused = Next(channel);
        Assert.Equal(RdmaEventKind.Rejected, refused.Kind);
        WireStatus status = (WireStatus)((RdmaWelcome*)refused.PrivateData)->Status;
        RdmaLibrary.CloseId(id, &queue);
        Assert.Equal(0, RdmaLibrary.CloseDomain(domain));
        RdmaLibrary.CloseChannel(channel);
        return status;
    }

    private static RdmaEvent Next(nint channel)
    {
        RdmaEvent received;
        long started = Stopwatch.GetTimestamp();
        while (RdmaLibrary.NextEvent(channel, &received) == 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < s_patience, "no event came");
            Thread.Sleep(1);
        }

        return received;
    }

    private static void Eventually(Func<bool> condition)
    {
        long started = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < s_patience);
            Thread.Sleep(5);
        }
    }

    private RdmaDataConnection Connect(Guid demander, byte[] token, RemoteSlabs? slabs = null) =>
        RdmaDataConnection.Connect(new IPEndPoint(_address!, _server!.Port), demander, token, s_patience, _ => slabs ?? new RemoteSlabs());

    private Peer Join(Guid? known = null)
    {
        Guid id = known ?? Guid.NewGuid();
        Assert.Null(_store!.Greet(id, "test"));
        byte[] token = _store.MakeToken(id)!;
        var slabs = new RemoteSlabs();
        RdmaDataConnection connection = Connect(id, token, slabs);
        Assert.Equal(0, connection.Register(_buffer, BufferPages << PageSize.Shift));
        return new Peer(id, token, slabs, connection, _store);
    }

    private sealed class Peer(Guid id, byte[] token, RemoteSlabs slabs, RdmaDataConnection connection, SlabStore store) : IDisposable
    {
        public Guid Id => id;

        public byte[] Token => token;

        public RemoteSlabs Slabs => slabs;

        public RdmaDataConnection Connection => connection;

        public ulong Borrow()
        {
            Assert.Null(store.TryAllocate(id, SlabBytes, out SlabEntry entry));
            Assert.Null(store.Expose(id, entry.Slab, connection.RemoteDomain, out ulong address, out uint key));
            Assert.True(slabs.Set(entry.Slab, address, Slots, key));
            return entry.Slab;
        }

        /// <summary>One request, to its end.</summary>
        public DataStatus Do(bool isWrite, ulong slab, uint slot, int pages, byte* memory)
        {
            Assert.True(isWrite ? connection.TryPostWrite(1, slab, slot, pages, memory) : connection.TryPostRead(1, slab, slot, pages, memory));
            connection.Submit();
            return Assert.Single(Wait(1)).Status;
        }

        /// <summary>Waits, as a pager does, until so many requests have ended.</summary>
        public DataCompletion[] Wait(int count)
        {
            List<DataCompletion> ended = [];
            DataCompletion[] batch = new DataCompletion[64];
            long started = Stopwatch.GetTimestamp();
            while (true)
            {
                ended.AddRange(batch.AsSpan(0, connection.Poll(batch)));
                if (ended.Count >= count)
                {
                    return [.. ended];
                }

                Assert.True(Stopwatch.GetElapsedTime(started) < s_patience, $"{ended.Count} of {count} requests ended");
                if (connection.PrepareToWait())
                {
                    PollDescriptor wait = new() { Descriptor = connection.WaitDescriptor, Events = Libc.POLLIN };
                    _ = Libc.Poll(&wait, 1, 1000);
                }
            }
        }

        public void Dispose() => connection.Dispose();
    }

    private sealed class NoLoop : IServingLoop
    {
        public int Port => 0;

        public void RunBetweenRequests(Action action) => action();

        public void DropConnections(DemanderHandle demander)
        {
        }
    }
}
