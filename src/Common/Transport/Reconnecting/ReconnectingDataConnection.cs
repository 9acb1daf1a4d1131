using Hecatonchire.Interop;
using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Transport.Reconnecting;

/// <summary>
/// A data connection that outlives the connections it is made of. When the one inside ends, what was in flight stays in flight, more may be
/// posted, and the <see cref="DataLink"/> makes another, over which all of it goes again: a READ can be repeated, and a WRITE
/// writes the same bytes, because its buffer is not changed before it completes. Broken only when the link gives up, or when the
/// sponsor refuses a request, which no other connection would change. Belongs to its link, which ends it.
/// </summary>
internal sealed unsafe partial class ReconnectingDataConnection : ISponsorConnection
{
    private readonly InFlightTable _table;
    private readonly DataLink _link;

    /// <summary>Holds <see cref="_event"/> and the descriptor of the connection inside, so that who waits knows one descriptor for good.</summary>
    private readonly int _waitSet;

    /// <summary>Null from its end until there is another.</summary>
    private IDataConnection? _inner;
    private int _watchedDescriptor = -1;
    private uint _watchedEvents;

    /// <summary>A request was refused, or the link has given up.</summary>
    private bool _isLost;

    public ReconnectingDataConnection(IDataConnection inner, DataLink link)
    {
        _inner = inner;
        _link = link;
        _table = new InFlightTable(inner.FreeRequests);
        Transport = inner.Transport;
        PagesPerRequestMax = inner.PagesPerRequestMax;
        _waitSet = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
        _event = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        Watch(_event, Libc.EPOLLIN, Libc.EPOLL_CTL_ADD);
        Rewatch();
    }

    public string Transport { get; }

    public int PagesPerRequestMax { get; }

    public int FreeRequests => _isLost ? 0 : _table.Free;

    public bool IsBroken => _isLost;

    public bool IsAway => _inner is null && !_isLost;

    public string? BreakReason { get; private set; }

    public int WaitDescriptor => _waitSet;

    public uint WaitEvents => Libc.EPOLLIN;

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(cookie, slab, slot, pages, buffer, isWrite: false);

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
        TryPost(cookie, slab, slot, pages, buffer, isWrite: true);

    private bool TryPost(ulong cookie, ulong slab, uint slot, int pages, byte* buffer, bool isWrite)
    {
        if (_isLost || _table.Free == 0 || pages < 1 || pages > PagesPerRequestMax)
        {
            return false;
        }

        // One that finds its connection ended goes out over the next.
        if (_inner is { } inner && !Post(inner, _table.NextPlace, slab, slot, pages, buffer, isWrite) && !inner.IsBroken)
        {
            return false;
        }

        _table.Add(cookie, slab, slot, pages, buffer, isWrite);
        return true;
    }

    private static bool Post(IDataConnection inner, int place, ulong slab, uint slot, int pages, byte* buffer, bool isWrite) => isWrite
        ? inner.TryPostWrite((ulong)place, slab, slot, pages, buffer)
        : inner.TryPostRead((ulong)place, slab, slot, pages, buffer);

    public void Submit()
    {
        if (_phase != Phase.Connected)
        {
            Attend();
        }

        _inner?.Submit();
    }

    public int Poll(Span<DataCompletion> completions)
    {
        if (_phase != Phase.Connected)
        {
            Attend();
        }

        int done = 0;
        while (_inner is { } inner)
        {
            int count = inner.Poll(completions[done..]);
            done = Take(completions, done, count);
            if (!inner.IsBroken || done == completions.Length)
            {
                return done;
            }

            if (count == 0)
            {
                // It has told all it knows.
                NoteEnd(inner);
            }
        }

        return _isLost ? CompleteDisconnected(completions, done) : done;
    }

    public void Spin() => _inner?.Spin();

    public int Withdraw(Span<ulong> cookies)
    {
        int count = 0;
        while (IsAway && !IsInUse && count < cookies.Length && _table.TryGetOldest(out int place) && _table.TryRemove(place, out ulong cookie))
        {
            cookies[count++] = cookie;
        }

        return count;
    }

    public void Leave(string why)
    {
        if (_inner is not null && !_isLost)
        {
            BreakReason = why;
            Detach();
        }
    }

    /// <summary>
    /// Turns what the connection inside reported, from <paramref name="done"/> on, into what the caller is told. A request it could not
    /// complete is kept.
    /// </summary>
    private int Take(Span<DataCompletion> completions, int done, int count)
    {
        int end = done + count;
        for (int i = done; i < end; i++)
        {
            DataStatus status = completions[i].Status;
            _isLost |= status == DataStatus.Refused;
            if (status != DataStatus.Disconnected && _table.TryRemove((int)completions[i].Cookie, out ulong cookie))
            {
                completions[done++] = new DataCompletion(cookie, status);
                _hasProgressed = true;
            }
        }

        return done;
    }

    private int CompleteDisconnected(Span<DataCompletion> completions, int done)
    {
        while (done < completions.Length && _table.TryGetOldest(out int place) && _table.TryRemove(place, out ulong cookie))
        {
            completions[done++] = new DataCompletion(cookie, DataStatus.Disconnected);
        }

        return done;
    }

    public bool PrepareToWait()
    {
        if (_isLost)
        {
            return true;
        }

        DrainEvent();
        if (_phase is not (Phase.Connected or Phase.Detached))
        {
            return false;
        }

        Rewatch();
        return _inner?.PrepareToWait() ?? true;
    }

    /// <summary>Brings the wait set up to what the connection inside wants to be woken by.</summary>
    private void Rewatch()
    {
        int descriptor = _inner?.WaitDescriptor ?? -1;
        uint events = _inner?.WaitEvents ?? 0;
        if (descriptor == _watchedDescriptor && events == _watchedEvents)
        {
            return;
        }

        if (descriptor == _watchedDescriptor)
        {
            Watch(descriptor, events, Libc.EPOLL_CTL_MOD);
        }
        else
        {
            Unwatch();
            if (descriptor >= 0)
            {
                Watch(descriptor, events, Libc.EPOLL_CTL_ADD);
            }
        }

        (_watchedDescriptor, _watchedEvents) = (descriptor, events);
    }

    /// <summary>While the descriptor is still open: its number may come again, and would be taken for the same.</summary>
    private void Unwatch()
    {
        if (_watchedDescriptor >= 0)
        {
            Watch(_watchedDescriptor, 0, Libc.EPOLL_CTL_DEL);
            _watchedDescriptor = -1;
        }
    }

    private void Watch(int descriptor, uint events, int operation)
    {
        EpollEvent change = new() { Events = events, Data = (ulong)descriptor };
        _ = Libc.EpollControl(_waitSet, operation, descriptor, &change);
    }
}
