using System.Net;
using System.Runtime.InteropServices;
using Hecatonchire.Interop;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Rdma;

/// <summary>
/// The demander's end of a data connection over RDMA: one reliable queue, whose requests are RDMA READ and RDMA WRITE on the memory of
/// the sponsor's slabs. The sponsor's processor takes no part. Requests go out in one chain per <see cref="Submit"/>.
/// A reliable queue ends its requests in their order, so that one number tells which have ended. An acknowledged WRITE
/// is seen by every READ that is posted afterwards, on this queue or another of the same device.
/// </summary>
internal sealed unsafe partial class RdmaDataConnection : IDataConnection
{
    /// <summary>Bounds what is in flight; a power of two. 56 KiB of state.</summary>
    public const int RequestsInFlightMax = 1024;

    private const uint Mask = RequestsInFlightMax - 1;

    /// <summary>Buffers of requests lie in one of so many pieces of memory.</summary>
    private const int RegionsMax = 64;

    private const int CompletionsMax = 64;

    /// <summary>Faults of other threads wait for as many; each is a read of memory on a device that is driven from user space.</summary>
    private const int LooksPerSpin = 16;

    // Free-running counters: completed <= ended <= submitted <= posted <= completed + RequestsInFlightMax.
    private uint _posted;
    private uint _submitted;
    private uint _ended;
    private uint _completed;

    /// <summary>From this request on, of those that have ended, nothing was done.</summary>
    private uint _failedFrom;
    private bool _hasFailed;

    /// <summary>The request that the sponsor's device refused, where there is one.</summary>
    private uint _refused;
    private bool _hasRefused;
    private bool _armed;
    private bool _disposed;

    private readonly RdmaOpening _opened;
    private readonly RemoteSlabs _slabs;
    private readonly RdmaQueue* _queue;
    private readonly RdmaRequest* _requests;
    private readonly ulong* _cookies;
    private readonly RdmaCompletion* _arrived;
    private readonly Region[] _regions = new Region[RegionsMax];
    private readonly int _requestsMax;
    private readonly int _epoll;
    private int _regionCount;

    private struct Region
    {
        public byte* Memory;
        public nuint Bytes;
        public nint Handle;
        public uint Key;
    }

    private RdmaDataConnection(RdmaOpening opened, RemoteSlabs slabs)
    {
        (_opened, _slabs, _requestsMax) = (opened, slabs, opened.RequestsMax);
        _queue = opened.Queue;
        nuint bytes = (RequestsInFlightMax * (nuint)(sizeof(RdmaRequest) + sizeof(ulong))) + (CompletionsMax * (nuint)sizeof(RdmaCompletion));
        byte* memory = (byte*)NativeMemory.AlignedAlloc(bytes, 4096);

        // Written now, so that no page of it has to be found when memory is short.
        NativeMemory.Clear(memory, bytes);
        _requests = (RdmaRequest*)memory;
        _cookies = (ulong*)(_requests + RequestsInFlightMax);
        _arrived = (RdmaCompletion*)(_cookies + RequestsInFlightMax);
        _epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
        Watch(_queue->Descriptor);
        Watch(opened.ChannelDescriptor);
        int async = RdmaLibrary.AsyncDescriptor(opened.Id);
        if (async >= 0)
        {
            Watch(async);
        }
    }

    /// <summary>Opens a connection. Throws <see cref="DataConnectionException"/>; nothing else here ever throws.</summary>
    /// <param name="sponsor">Where the sponsor listens for RDMA.</param>
    /// <param name="demanderId">Who asks.</param>
    /// <param name="token">32 bytes from the control channel, used up by this call.</param>
    /// <param name="timeout">For the whole opening.</param>
    /// <param name="slabsOf">Where the slabs are, for the sponsor's protection domain of this number; kept up to date by the caller.</param>
    public static RdmaDataConnection Connect(
        IPEndPoint sponsor, Guid demanderId, ReadOnlySpan<byte> token, TimeSpan timeout, Func<uint, RemoteSlabs> slabsOf)
    {
        var opening = new RdmaOpening(sponsor, timeout);
        try
        {
            opening.Open(demanderId, token, RequestsInFlightMax);
            return new RdmaDataConnection(opening, slabsOf(opening.RemoteDomain));
        }
        catch
        {
            opening.Dispose();
            throw;
        }
    }

    public bool IsOneSided => true;

    public string Transport => "rdma";

    /// <summary>The sponsor's number of the protection domain that this connection's keys must be of.</summary>
    public uint RemoteDomain => _opened.RemoteDomain;

    public int PagesPerRequestMax => _opened.PagesPerRequestMax;

    public int FreeRequests => IsBroken ? 0 : _requestsMax - (int)(_posted - _completed);

    public bool IsBroken { get; private set; }

    /// <summary>Once broken: why, in a few words for a message to people.</summary>
    public string? BreakReason { get; private set; }

    public int WaitDescriptor => _epoll;

    public uint WaitEvents => Libc.EPOLLIN;

    public void Unregister(byte* memory)
    {
        for (int i = 0; i < _regionCount; i++)
        {
            if (_regions[i].Memory == memory)
            {
                _ = RdmaLibrary.Deregister(_regions[i].Handle);
                _regions[i] = _regions[--_regionCount];
                return;
            }
        }
    }

    public int Register(byte* memory, nuint bytes)
    {
        if (_regionCount == RegionsMax)
        {
            return Errno.ENOSPC;
        }

        var region = new Region { Memory = memory, Bytes = bytes };
        uint remoteKey;
        int status = RdmaLibrary.Register(_opened.Domain, memory, bytes, 0, &region.Handle, &region.Key, &remoteKey);
        if (status == 0)
        {
            _regions[_regionCount++] = region;
        }

        return -status;
    }

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(RdmaOp.Read, cookie, slab, slot, pages, buffer);

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(RdmaOp.Write, cookie, slab, slot, pages, buffer);

    public void Submit()
    {
        while (_submitted != _posted && !IsBroken)
        {
            // The requests are a ring: what passes its end goes in a second chain.
            uint first = _submitted & Mask;
            int count = (int)Math.Min(_posted - _submitted, RequestsInFlightMax - first);
            _requests[first + count - 1].Flags = RdmaFlags.None;
            int status;
            int posted = RdmaLibrary.Post(_queue, _requests + first, count, &status);
            _submitted += (uint)Math.Max(0, posted);
            if (posted < count)
            {
                Break($"the device takes no requests: {Errno.Describe(-status)}");
            }
        }
    }

    public int Poll(Span<DataCompletion> completions)
    {
        if (_armed)
        {
            TakeEvents();
        }

        int done = Deliver(completions, 0);
        while (done < completions.Length && _ended != _submitted && TakeArrived())
        {
            done = Deliver(completions, done);
        }

        return Deliver(completions, done);
    }

    public void Spin()
    {
        for (int look = 0; look < LooksPerSpin && !IsBroken && _ended == _completed && _ended != _submitted; look++)
        {
            _ = TakeArrived();
        }
    }

    public bool PrepareToWait()
    {
        if (IsBroken)
        {
            return _completed == _posted;
        }

        // What came before the queue was armed makes no event.
        _ = RdmaLibrary.Arm(_queue);
        _armed = true;
        while (TakeArrived())
        {
        }

        return _completed == _ended && !IsBroken;
    }

    private bool TryPost(RdmaOp op, ulong cookie, ulong slab, uint slot, int pages, byte* buffer)
    {
        if (IsBroken || _posted - _completed >= (uint)_requestsMax || pages < 1 || pages > PagesPerRequestMax)
        {
            return false;
        }

        if (!_slabs.TryLocate(slab, slot, pages, out ulong remote, out uint remoteKey) || !TryFindKey(buffer, pages, out uint localKey))
        {
            Break("a request names memory that is not registered");
            return false;
        }

        uint index = _posted & Mask;
        _requests[index] = new RdmaRequest
        {
            Cookie = _posted,
            Local = (ulong)buffer,
            Remote = remote,
            Bytes = (uint)pages << PageSize.Shift,
            LocalKey = localKey,
            RemoteKey = remoteKey,
            Op = op,

            // A READ is waited for by itself; of WRITEs the last of a chain tells for all before it.
            Flags = op == RdmaOp.Write ? RdmaFlags.Unsignalled : RdmaFlags.None,
        };
        _cookies[index] = cookie;
        _posted++;
        return true;
    }

    private bool TryFindKey(byte* buffer, int pages, out uint key)
    {
        for (int i = 0; i < _regionCount; i++)
        {
            ref Region region = ref _regions[i];
            if (buffer >= region.Memory && buffer + ((nuint)pages << PageSize.Shift) <= region.Memory + region.Bytes)
            {
                key = region.Key;
                return true;
            }
        }

        key = 0;
        return false;
    }

    private void Watch(int descriptor)
    {
        var change = new EpollEvent { Events = Libc.EPOLLIN, Data = (ulong)descriptor };
        _ = Libc.EpollControl(_epoll, Libc.EPOLL_CTL_ADD, descriptor, &change);
    }

    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            IsBroken = true;

            _opened.CloseQueue();
            for (int i = 0; i < _regionCount; i++)
            {
                _ = RdmaLibrary.Deregister(_regions[i].Handle);
            }

            _opened.Dispose();
            _ = Libc.Close(_epoll);
            _posted = _submitted = _ended = _completed;
            NativeMemory.AlignedFree(_requests);
        }
    }
}
