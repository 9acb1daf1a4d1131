using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Reconnecting;

/// <content>
/// How a connection changes hands between its user's thread and the link's, without a lock: each phase has one of them as the owner of the
/// connection inside, and only an owner's step leads on. The link disposes an old connection before it offers the next, so that nothing of
/// the old one touches a buffer that the next one uses.
/// </summary>
internal sealed unsafe partial class ReconnectingDataConnection
{
    /// <summary>Readable: the phase has changed, look.</summary>
    private readonly int _event;

    /// <summary>What the user has registered; replaced as a whole, by its thread. And what of it the connection that is offered knows.</summary>
    private volatile Region[] _registered = [];
    private volatile Region[] _prepared = [];
    private volatile Phase _phase = Phase.Connected;
    private volatile bool _isSignalled;
    private volatile bool _isStalled;
    private volatile string? _whyLost;
    private IDataConnection? _retired;
    private IDataConnection? _offered;

    /// <summary>What was detached last may use buffers until it is disposed: it had not told all.</summary>
    private bool _isInUse;

    /// <summary>Something has completed over the connection inside.</summary>
    private bool _hasProgressed = true;

    /// <summary>Compared by reference: another one may be at the same place, and as long.</summary>
    private sealed class Region(byte* memory, nuint bytes)
    {
        public byte* Memory => memory;

        public nuint Bytes => bytes;
    }

    private enum Phase
    {
        /// <summary>The user's thread has the connection.</summary>
        Connected,

        /// <summary>It has, and the link wants it back: the other connection of the link has broken.</summary>
        Recalled,

        /// <summary>The link has it, and makes another.</summary>
        Detached,

        /// <summary>Another waits to be taken over. Either side may take it.</summary>
        Offered,

        /// <summary>There will be none.</summary>
        Lost,
    }

    public int Register(byte* memory, nuint bytes)
    {
        int errno = _inner?.Register(memory, bytes) ?? 0;
        if (errno == 0)
        {
            _registered = [.. _registered, new Region(memory, bytes)];
        }

        return errno;
    }

    public void Unregister(byte* memory)
    {
        _registered = Array.FindAll(_registered, region => region.Memory != memory);
        _inner?.Unregister(memory);
    }

    /// <summary>What was taken back or registered since the connection was prepared. 0 or errno.</summary>
    private int Reconcile(IDataConnection inner)
    {
        foreach (Region region in _prepared.Except(_registered))
        {
            inner.Unregister(region.Memory);
        }

        int errno = 0;
        foreach (Region region in _registered.Except(_prepared))
        {
            errno = errno != 0 ? errno : inner.Register(region.Memory, region.Bytes);
        }

        return errno;
    }

    /// <summary>The user's thread: makes the step that the link asks for. No lock; no allocation, unless buffers came or went since the break; a few system calls, once per break.</summary>
    private void Attend()
    {
        switch (_phase)
        {
            // One that refused a request is not replaced, and soon ends by itself.
            case Phase.Recalled when !_isLost:
                BreakReason = null;
                Detach();
                break;

            case Phase.Offered when TryStep(Phase.Offered, Phase.Connected):
                Adopt(Interlocked.Exchange(ref _offered, null)!);
                break;

            case Phase.Lost:
                _isLost = true;
                BreakReason = _whyLost ?? BreakReason;
                break;
        }
    }

    /// <summary>The connection inside has ended and has nothing more to report.</summary>
    private void NoteEnd(IDataConnection inner)
    {
        BreakReason = inner.BreakReason;
        Detach();
        _isInUse = false;
    }

    private void Detach()
    {
        Unwatch();
        _isInUse = _inner!.IsOneSided;
        _isStalled = !_hasProgressed && _table.Count > 0;
        Volatile.Write(ref _retired, _inner);
        _inner = null;
        _phase = _isLost ? Phase.Lost : Phase.Detached;
        _link.Notify();
    }

    private void Adopt(IDataConnection inner)
    {
        _inner = inner;
        _hasProgressed = false;
        int errno = _registered != _prepared ? Reconcile(inner) : 0;
        if (errno != 0)
        {
            // What cannot be registered now may be over the next connection; the link gives up after some.
            BreakReason = DataConnectionException.NotRegistered((long)_registered.Max(region => (ulong)region.Bytes), errno);
            Detach();
            return;
        }

        Rewatch();
        for (bool more = _table.TryGetOldest(out int place); more; more = _table.TryGetNewer(ref place))
        {
            ref readonly InFlightTable.Request request = ref _table[place];
            if (!Post(inner, place, request.Slab, request.Slot, request.Pages, request.Buffer, request.IsWrite))
            {
                // It has ended already, and takes nothing.
                Detach();
                return;
            }
        }

        inner.Submit();
    }

    private void DrainEvent()
    {
        if (_isSignalled)
        {
            _isSignalled = false;
            ulong count;
            _ = Libc.Read(_event, &count, sizeof(ulong));
        }
    }

    private bool IsInUse => _isInUse && Volatile.Read(ref _retired) is not null;

    /// <summary>The link: true while there is no connection and none is offered.</summary>
    public bool IsDetached => _phase == Phase.Detached;

    /// <summary>The link: the sponsor has refused a request, or the link gave up.</summary>
    public bool IsGivenUp => _phase == Phase.Lost;

    /// <summary>The link: nothing completed over the connection that was detached last, although there was something to complete.</summary>
    public bool IsStalled => _isStalled;

    /// <summary>The link: asks for the connection. True once it is here, or once there is none to come.</summary>
    public bool Recall()
    {
        if (TryStep(Phase.Connected, Phase.Recalled))
        {
            Signal();
        }

        // One that was not taken over yet never will be.
        if (TryStep(Phase.Offered, Phase.Detached))
        {
            Volatile.Write(ref _retired, Interlocked.Exchange(ref _offered, null));
        }

        return _phase is Phase.Detached or Phase.Lost;
    }

    /// <summary>The link: ends a connection that was detached, and with it the use of the caller's buffers.</summary>
    public void DisposeRetired()
    {
        if (Volatile.Read(ref _retired) is { } retired)
        {
            // Not gone before it has ended: the user's thread goes by that.
            retired.Dispose();
            Volatile.Write(ref _retired, null);
        }
    }

    /// <summary>The link: makes a new connection fit to take this one's place. Throws <see cref="DataConnectionException"/> where it cannot.</summary>
    public void Prepare(IDataConnection fresh)
    {
        if (fresh.FreeRequests < _table.Capacity || fresh.PagesPerRequestMax < PagesPerRequestMax)
        {
            throw new DataConnectionException(
                DataConnectionFailure.Protocol, "the new data connection takes fewer or shorter requests than the one before");
        }

        Region[] regions = _registered;
        List<Region> known = [];
        foreach (Region region in regions)
        {
            int errno = fresh.Register(region.Memory, region.Bytes);
            if (errno == 0)
            {
                known.Add(region);
            }
            else if (_registered.Contains(region))
            {
                throw new DataConnectionException(
                    DataConnectionFailure.Memory, DataConnectionException.NotRegistered((long)region.Bytes, errno));
            }
        }

        // One that was taken back meanwhile may not have been there any more. All that differs is made good when this is taken over; of the same array, nothing.
        _prepared = known.Count == regions.Length ? regions : [.. known];
    }

    /// <summary>The link: hands a new connection over.</summary>
    public void Offer(IDataConnection fresh)
    {
        Volatile.Write(ref _offered, fresh);
        _phase = Phase.Offered;
        Signal();
    }

    /// <summary>The link: there will be no other connection.</summary>
    public void GiveUp(string why)
    {
        _whyLost = why;
        if (TryStep(Phase.Detached, Phase.Lost))
        {
            Signal();
        }
    }

    /// <summary>After the phase, so that who is woken sees it; the note after the event, so that what is noted can be drained.</summary>
    private void Signal()
    {
        ulong one = 1;
        _ = Libc.Write(_event, &one, sizeof(ulong));
        _isSignalled = true;
    }

    private bool TryStep(Phase from, Phase to) => Interlocked.CompareExchange(ref _phase, to, from) == from;

    /// <summary>Ends the link: its connections live and end together.</summary>
    public void Dispose() => _link.Dispose();

    /// <summary>The link, once its own thread and the user's have ended.</summary>
    public void Close()
    {
        _isLost = true;
        _phase = Phase.Lost;
        DisposeRetired();
        Interlocked.Exchange(ref _offered, null)?.Dispose();
        _inner?.Dispose();
        _inner = null;
        _ = Libc.Close(_event);
        _ = Libc.Close(_waitSet);
    }
}
