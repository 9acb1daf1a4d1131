using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Striped;

/// <summary>
/// Writes pages anew to a replica that has answered with something else than what was written to it: reads each there once more, for it may have been the way here that changed it;
/// if it is wrong again, reads it from another replica, writes it there, and looks whether it is right now. No write of the program's to that slot is in flight when it is
/// written, and none is sent to that replica until it has been: so the program's, which is newer, cannot be undone. One page at a time, on the pager thread.
/// </summary>
internal sealed unsafe class StripeRepair : IDisposable
{
    /// <summary>Pages that wait; one that finds no place is noted again when it is read again.</summary>
    private const int WaitingMax = 64;

    /// <summary>How often a page is written anew that is not right afterwards: that memory cannot be helped.</summary>
    private const int RoundsMax = 3;

    private readonly SponsorSet _set;
    private readonly WrongPage[] _waiting = new WrongPage[WaitingMax];
    private readonly byte* _buffer = NativeMemoryMap.Populate(PageSize.Bytes);
    private int _head;
    private int _count;
    private State _state;
    private WrongPage _page;
    private int _rounds;
    private bool _isWritten;
    private bool _isDirty;
    private long _repaired;

    private enum State
    {
        Idle,
        ToLook,
        Looking,
        ToRead,
        Reading,
        ToWrite,
        Writing,
    }

    /// <summary>The number of a stripe may come again, so both.</summary>
    private record struct WrongPage(StripeTable.Stripe? Known, ulong Stripe, uint Slot, int Sponsor);

    /// <summary>Throws <see cref="DataConnectionException"/> where a device does not take its buffer.</summary>
    public StripeRepair(SponsorSet set)
    {
        _set = set;
        foreach (StripedConnection connection in (StripedConnection[])[set.Reader, set.Writer])
        {
            int errno = connection.Register(_buffer, PageSize.Bytes);
            if (errno != 0)
            {
                throw new DataConnectionException(DataConnectionFailure.Memory, DataConnectionException.NotRegistered(PageSize.Bytes, errno));
            }
        }
    }

    /// <summary>A page was found right after it had been written anew: stripe, slot, sponsor.</summary>
    public Action<ulong, uint, int>? OnRepaired { get; init; }

    /// <summary>Such pages; any thread may ask.</summary>
    public long Repaired => Volatile.Read(ref _repaired);

    public bool IsBusy => _state != State.Idle || _count > 0;

    /// <summary>A sponsor has answered with something else than what was written to that slot.</summary>
    public void Note(ulong stripe, uint slot, int sponsor)
    {
        var page = new WrongPage(_set.Stripes[stripe], stripe, slot, sponsor);
        if (_count == WaitingMax || (_state != State.Idle && page == _page))
        {
            return;
        }

        for (int i = 0; i < _count; i++)
        {
            if (_waiting[(_head + i) % WaitingMax] == page)
            {
                return;
            }
        }

        _waiting[(_head + _count++) % WaitingMax] = page;
    }

    /// <summary>Goes on as far as it can now.</summary>
    public void Step()
    {
        if (_state == State.Idle)
        {
            if (_count == 0)
            {
                return;
            }

            _page = _waiting[_head];
            _waiting[_head] = default;
            _head = (_head + 1) % WaitingMax;
            _count--;
            (_state, _rounds, _isWritten) = (State.ToLook, 0, false);
        }

        if (_state is not (State.ToLook or State.ToRead or State.ToWrite))
        {
            return;
        }

        if (!IsWanted())
        {
            _state = State.Idle;
        }
        else if ((_set.Writer.WritesIn(_page.Stripe, _page.Slot) & 1) == 0)
        {
            Post();
        }
    }

    public void Dispose()
    {
        _set.Reader.Unregister(_buffer);
        _set.Writer.Unregister(_buffer);
        _ = Libc.Unmap(_buffer, PageSize.Bytes);
    }

    /// <summary>True while a page is being written anew to that sponsor's replica in one of those slots: the program's write waits.</summary>
    internal bool IsWriting(int sponsor, ulong stripe, uint slot, int pages) =>
        _state == State.Writing && sponsor == _page.Sponsor && stripe == _page.Stripe && _page.Slot - slot < (uint)pages;

    /// <summary>The program writes to a stripe.</summary>
    internal void NoteWrite(ulong stripe, uint slot, int pages) => _isDirty |= stripe == _page.Stripe && _page.Slot - slot < (uint)pages;

    /// <summary>True when the program has written meanwhile to what was asked for: it may be of either version.</summary>
    internal bool IsDirty => _isDirty;

    /// <summary>What was asked for has ended.</summary>
    internal void NoteEnd(DataStatus status)
    {
        (State ended, bool isDone) = (_state, status == DataStatus.Done);
        _state = State.Idle;
        switch (ended)
        {
            case State.Looking when isDone && _isDirty:
                _state = State.ToLook;
                break;
            case State.Looking when isDone && _isWritten:
                Volatile.Write(ref _repaired, _repaired + 1);
                OnRepaired?.Invoke(_page.Stripe, _page.Slot, _page.Sponsor);
                break;
            case State.Looking when status == DataStatus.Lost && _rounds++ < RoundsMax:
                _state = State.ToRead;
                break;
            case State.Reading when isDone:
                _state = State.ToWrite;
                break;
            case State.Writing when isDone:
                (_isWritten, _state) = (true, State.ToLook);
                break;
            default:
                break;
        }
    }

    /// <summary>While no write of the program's to the slot is in flight.</summary>
    private void Post()
    {
        (_, ulong stripe, uint slot, int sponsor) = _page;
        switch (_state)
        {
            case State.ToLook:
                _isDirty = false;
                _state = _set.Reader.TryPostOwn(StripedOwner.Repair, 0, stripe, slot, 1, _buffer, sponsor) ? State.Looking : _state;
                break;
            case State.ToRead:
                _isDirty = false;
                _state = _set.Reader.TryPostOwn(StripedOwner.Repair, 0, stripe, slot, 1, _buffer, target: -1, excluded: 1UL << sponsor) ? State.Reading : _state;
                break;
            case State.ToWrite when _isDirty:
                _state = State.ToLook;
                break;
            default:
                _state = _set.Writer.TryPostOwn(StripedOwner.Repair, 0, stripe, slot, 1, _buffer, sponsor) ? State.Writing : _state;
                break;
        }
    }

    /// <summary>True while the replica is one, there is another, and it is known what was written.</summary>
    private bool IsWanted()
    {
        if (_page.Known is not { IsLost: false } stripe || _set.Stripes[_page.Stripe] != stripe || !stripe.Knows(_page.Slot))
        {
            return false;
        }

        int place = SponsorSet.Find(stripe, _page.Sponsor);
        return place >= 0 && stripe.Replicas[place].State == ReplicaState.Live && stripe.HasLiveBut(1UL << _page.Sponsor);
    }
}
