using Hecatonchire.Eviction;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Staging;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>
/// fork of a program whose memory is captured: the child gets a pager core of its own on this thread, with a copy of the page table as it was at that
/// moment and a share in every slot. A slot that is shared is never written; see <see cref="Placement.SlotMap"/>.
/// <para>
/// Of changes by several threads the kernel tells one when its thread gets to it, and a fork may be told after what was done after it. Hence the
/// program announces its forks: what is read between the acknowledgement and the fork's own event is carried out after the fork. That is right also for a munmap
/// that was before it, since the child does not reach what is unmapped. Of a move the kernel is asked on which side of the fork it was. Of madvise
/// nobody could tell, so libheca lets none run during a fork.
/// </para>
/// </summary>
internal sealed unsafe partial class PagerCore
{
    /// <summary>Of its parent's bound, what a child may have beyond what it began with: a quarter.</summary>
    private const int ChildShare = 4;

    private bool _isForkAwaited;
    private int _forksQueued;

    /// <summary>Changes from this one on, counted from the first of all, were told after the fork that is awaited was acknowledged.</summary>
    private long _forkPlace;

    /// <summary>Pages that a child had from the beginning. They cost nothing as long as parent and child have them in common.</summary>
    private long _inheritedPages;
    private Segment? _inheritedSegment;
    private long _inheritedCursor;

    /// <summary>Makes the core of a child, given its userfaultfd; null where that is not possible. On the pager thread; allocates.</summary>
    public Func<int, PagerCore?>? OnFork { get; init; }

    /// <summary>True where the program's own bound holds: not of a child whose parent still runs.</summary>
    public bool IsHeir { get; set; } = true;

    /// <summary>The thread of the first fault; of a forked child its only one, and so its process. 0 when there was none, or the kernel does not say.</summary>
    public int FirstFaultThread
    {
        get => Volatile.Read(ref field);
        private set => Volatile.Write(ref field, value);
    }

    /// <summary>True when no request is under way over the connections: they may go on without this core.</summary>
    public bool IsDrained => !HasRequestsInFlight && !HasForksQueued;

    /// <summary>True while a child is to be made of this program.</summary>
    public bool HasForksQueued => _forksQueued > 0;

    private bool HasRequestsInFlight => _fetches.InFlight > 0 || _writesInFlight > 0;

    /// <summary>Pages may be resident without being in an eviction queue: those that a child began with.</summary>
    public bool HasInherited => _inheritedSegment is not null;

    /// <summary>True while a fork has announced itself whose event is not read yet, and any change has to wait for it.</summary>
    private bool IsBehindFork => _isForkAwaited && _changesDone >= _forkPlace;

    /// <summary>True while one does.</summary>
    private bool StandsBehindFork => IsChangePending && IsBehindFork;

    /// <summary>What a child may have of its own while its parent lives, in pages.</summary>
    private long ChildBound => Math.Max(_budgetPages / ChildShare, AllowancePagesMin);

    /// <summary>The program is gone and nothing is under way: its share in the slots ends.</summary>
    public void ReleaseSlots()
    {
        for (Segment? segment = _segments.FindFrom(0); segment is not null; segment = _segments.FindFrom(segment.End))
        {
            for (long page = segment.NextTouched(0, segment.Pages); page < segment.Pages; page = segment.NextTouched(page + 1, segment.Pages))
            {
                ReleaseSlot(ref segment.Entries[page]);
            }
        }

        for (int block = 0; block < _staging.Count; block++)
        {
            for (int i = 0; i < _staging.Block(block).Pages; i++)
            {
                ref StagedPage page = ref _staging.Page((block * StagingBlocks.BlockPages) + i);
                if (page is { State: StagedState.ToWrite, Slot: not PageEntry.NoSlot })
                {
                    _slots.Release(page.Slot);
                    page.Slot = PageEntry.NoSlot;
                }
            }
        }
    }

    /// <summary>
    /// The program goes on into its fork, and out of it, when that is acknowledged. Out of it not before the child has its table: the parent may end right
    /// away, and with it what its evictor has in hand.
    /// </summary>
    private void NoteForkBegun()
    {
        if (Captures && _forksQueued == 0 && _program.AcknowledgeFork(out bool begins))
        {
            (_isForkAwaited, _forkPlace) = (begins, _changesDone + _changeCount);
        }
    }

    /// <summary>As a change it stands before those that were told since it was acknowledged; one that nobody announced, where it was told.</summary>
    private void NoteFork(int descriptor)
    {
        int place = _isForkAwaited ? (int)(_forkPlace - _changesDone) : _changeCount;
        for (int i = _changeCount; i > place; i--)
        {
            ChangeAt(i) = ChangeAt(i - 1);
        }

        ChangeAt(place) = new AddressChange(FaultKind.Forked, 0, ulong.MaxValue, (ulong)descriptor, (ulong)(_changeCount - place));
        _changeCount++;
        _forksQueued++;
        _isForkAwaited = false;
    }

    private bool HasRoomForChanges()
    {
        if (_changeCount + FaultBatch <= _changes.Length)
        {
            return _changeCount + FaultBatch <= ChangesMax || _isForkAwaited;
        }

        if (!_isForkAwaited)
        {
            return false;
        }

        // The fork is behind them in the kernel's queue, so they cannot wait there.
        var grown = new AddressChange[_changes.Length * 2];
        for (int i = 0; i < _changeCount; i++)
        {
            grown[i] = ChangeAt(i);
        }

        (_changes, _changeHead) = (grown, 0);
        return true;
    }

    /// <summary>Carries a fork out. False while a page is in flight: what the child has of it is not decided yet.</summary>
    private bool Fork(in AddressChange fork)
    {
        if (_isCopying)
        {
            // Who copies may wait for a page, and would until this is done.
            ForgetCopied();
        }

        bool isLeaving = SponsorLost ? _takesInFlight > 0 : _departing > 0 || _writesInFlight > 0;
        if (_fetches.InFlight > 0 || isLeaving || _parked.Count > 0 || (IsCleaning && !_isCopying))
        {
            return false;
        }

        Counters.Forks++;
        _forksQueued--;
        if (OnFork?.Invoke((int)fork.Target) is { } child)
        {
            child.Inherit(this);
            for (int i = 1; i <= (int)fork.Cursor; i++)
            {
                PassOn(in ChangeAt(i), child);
            }
        }

        return true;
    }

    /// <summary>The program was killed in fork: what its evictor had in hand is gone, and the child, which would miss it, is stopped.</summary>
    private void AbandonForks()
    {
        for (int i = 0; i < _changeCount; i++)
        {
            if (ChangeAt(i).Kind == FaultKind.Forked)
            {
                OnFork?.Invoke((int)ChangeAt(i).Target)?.NoteProgramError(Errno.EIO);
            }
        }

        (_changeCount, _forksQueued, _isForkAwaited) = (0, 0, false);
        _tables?.FinishChanges();
    }

    /// <summary>A change that was told between the acknowledgement of the fork and its event: a move may have been before the fork.</summary>
    private static void PassOn(in AddressChange change, PagerCore child)
    {
        if (change.Kind != FaultKind.Remapped)
        {
            return;
        }

        bool isAtSource = child._program.FindRegistered(change.Start) == 0;
        bool isAtTarget = child._program.FindRegistered(change.Target) == 0;
        if (isAtSource && isAtTarget)
        {
            // Either: better no child than one with pages at a wrong place.
            child.NoteProgramError(Errno.EFAULT);
        }
        else if (isAtTarget)
        {
            child.NoteChange(new FaultEvent(FaultKind.Remapped, change.Start, change.End, change.Target));
        }
    }

    private void Inherit(PagerCore parent)
    {
        try
        {
            for (Segment? segment = parent._segments.FindFrom(0); segment is not null; segment = parent._segments.FindFrom(segment.End))
            {
                Inherit(segment);
            }
        }
        catch (Exception e) when (e is InsufficientMemoryException or InvalidOperationException or OverflowException)
        {
            NoteProgramError(Errno.ENOMEM);
        }

        NoteInherited(_occupied);
        _outsidePages = parent._outsidePages;
        _inheritedSegment = _segments.FindFrom(0);
        UpdateBudget();
    }

    private void NoteInherited(long pages)
    {
        _inheritedPages = pages;
        if (_tables is not null)
        {
            _tables.InheritedPages = pages;
        }
    }

    private void Inherit(Segment parent)
    {
        var segment = Segment.Create(parent.Number, parent.Address, parent.Pages, _tables);
        segment.Advice = parent.Advice;
        _segments.Add(segment);
        for (long page = parent.NextTouched(0, parent.Pages); page < parent.Pages; page = parent.NextTouched(page + 1, parent.Pages))
        {
            ref PageEntry entry = ref parent.Entries[page];
            if (entry.State == PageState.Untouched)
            {
                continue;
            }

            if (entry.Slot != PageEntry.NoSlot)
            {
                _slots.Share(entry.Slot);
                segment.Hashes[page] = parent.Hashes[page];
            }

            ref PageEntry own = ref segment.Entries[page];
            segment.Touch(page);
            entry.CopyTo(ref own);
            switch (own.State)
            {
                case PageState.Resident:
                    _occupied++;
                    CountInstalled(1);
                    break;
                case PageState.Remote:
                    Counters.RemotePages++;
                    break;
                case PageState.Held:
                    own.Apply(PageEvent.HeldRelease);
                    Counters.RemotePages++;
                    break;
                case PageState.Leaving:
                    // Only without a sponsor: what is in the parent's staging, the child does not reach.
                    own.Apply(PageEvent.Lose);
                    break;
            }
        }
    }

    private void WakeAll()
    {
        for (Segment? segment = _segments.FindFrom(0); segment is not null; segment = _segments.FindFrom(segment.End))
        {
            _ = _program.Wake(segment.Address, segment.Pages);
        }
    }

    /// <summary>
    /// The first pages of a batch that is to leave a child: such as it began with, where what it has fetched or made itself is less than half of what it
    /// may have beside them. Those go first as a rule, since of the others each becomes one of its own before, and is written anew.
    /// </summary>
    private int CollectInherited(int wanted)
    {
        int count = 0;
        while (count < wanted && _inheritedSegment is not null && _queue.Count <= ChildBound / 2 && TryNextInherited(out _victims[count]))
        {
            count++;
        }

        return count;
    }

    private bool TryNextInherited(out PageId id)
    {
        for (int looked = 0; looked < PagesPerStep && _inheritedSegment is { } segment; looked++)
        {
            if (_inheritedCursor == segment.Pages)
            {
                (_inheritedSegment, _inheritedCursor) = (_segments.FindFrom(segment.End), 0);
                continue;
            }

            long page = segment.NextTouched(_inheritedCursor, segment.Pages);
            if (page == segment.Pages)
            {
                _inheritedCursor = page;
                continue;
            }

            _inheritedCursor = page + 1;
            if (segment.Entries[page] is { State: PageState.Resident, IsQueued: false })
            {
                id = new PageId(segment.Number, page);
                return true;
            }
        }

        id = default;
        return false;
    }
}
