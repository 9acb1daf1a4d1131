using Hecatonchire.Eviction;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>
/// What the program does to its address space itself: munmap, mremap, madvise. Changes are carried out in their order, one at a time, in steps
/// between faults. Until the last is done nothing is taken out of the program or fetched ahead, and a fault in a range that is
/// changing is dropped: the end of the change wakes who waits there, to fault again.
/// </summary>
internal sealed unsafe partial class PagerCore
{
    /// <summary>More are not read until some are done, but while a fork is waited for, behind which they stand.</summary>
    private const int ChangesMax = 256;

    private AddressChange[] _changes = new AddressChange[ChangesMax];
    private int _changeHead;
    private int _changeCount;
    private long _changesDone;

    /// <summary>[Start, End) from Cursor on; where the pages have moved, to Target.</summary>
    private record struct AddressChange(FaultKind Kind, ulong Start, ulong End, ulong Target, ulong Cursor);

    /// <summary>True until all changes that were read are done.</summary>
    public bool IsChangePending => _changeCount > 0;

    private ref AddressChange ChangeAt(int index) => ref _changes[(_changeHead + index) % _changes.Length];

    /// <param name="change">To be carried out after all that were noted.</param>
    /// <param name="isRead">The kernel has told it, in the last read.</param>
    private void NoteChange(in FaultEvent change, bool isRead = false)
    {
        if (change.Kind == FaultKind.Forked)
        {
            _tables?.NoteFork();
            NoteFork((int)change.Target);
            return;
        }

        NoteChange(new AddressChange(change.Kind, change.Address, change.End, change.Target, change.Address), isRead);
    }

    private void NoteChange(in AddressChange change, bool isRead)
    {
        if (change.Kind != FaultKind.Captured)
        {
            // Captured: what is there is found by looking.
            _tables?.NoteChange(new LeftChange { Kind = change.Kind, Start = change.Start, End = change.End, Target = change.Target, Cursor = change.Cursor }, isRead);
        }

        ChangeAt(_changeCount++) = change;
        _placeChanges += change.Kind is FaultKind.Unmapped or FaultKind.Remapped ? 1 : 0;
    }

    /// <summary>True when a pending change concerns a page of the range, at its old or its new address.</summary>
    private bool IsChanging(ulong address, int pages = 1)
    {
        ulong end = address + ((ulong)pages << PageSize.Shift);
        for (int i = 0; i < _changeCount; i++)
        {
            ref readonly AddressChange change = ref ChangeAt(i);
            if ((address < change.End && end > change.Start)
                || (change.Kind == FaultKind.Remapped && address < change.Target + (change.End - change.Start) && end > change.Target))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// The kernel would not touch the page because the address space is changing, or has changed: the change is among the next events. Who
    /// waits for the page faults again until it has been read.
    /// </summary>
    private bool IsRefusal(int errno) => _program.TellsChanges && errno is Errno.EAGAIN or Errno.ENOENT;

    private bool StepChanges()
    {
        if (_programGone && _forksQueued > 0)
        {
            AbandonForks();
        }

        // As many as there are: with threads that do nothing but change, all the rest would wait.
        bool progress = false;
        int looked = 0;
        while (_changeCount > 0 && !IsBehindFork)
        {
            ref AddressChange change = ref _changes[_changeHead];
            ulong before = change.Cursor;
            bool isDone = change.Kind switch
            {
                FaultKind.Captured => Adopt(ref change, ref looked),
                FaultKind.Forked => Fork(in change),
                _ => Advance(ref change, ref looked),
            };
            progress |= change.Cursor != before;
            if (!isDone)
            {
                return progress;
            }

            Finish(_changes[_changeHead]);
            progress = true;
        }

        return progress;
    }

    private void Finish(AddressChange done)
    {
        _changeHead = (_changeHead + 1) % _changes.Length;
        _changeCount--;
        _changesDone++;
        if (done.Kind == FaultKind.Forked)
        {
            NoteDone(in done);
            WakeAll();
            return;
        }

        if (done.Kind == FaultKind.Remapped)
        {
            NotePlaced(done.Target, done.Target + (done.End - done.Start));
        }
        else if (done.Kind == FaultKind.Captured)
        {
            NotePlaced(done.Start, done.End);
        }

        // Before it, all that follows from it, but what can be done twice.
        NoteDone(in done);

        // Also where nothing is mapped any more: who waits there is to find that out.
        long pages = (long)((done.End - done.Start) >> PageSize.Shift);
        _ = _program.Wake(done.Start, pages);
        if (done.Kind == FaultKind.Remapped)
        {
            _ = _program.Wake(done.Target, pages);
        }
    }

    private void NoteDone(in AddressChange done)
    {
        if (_tables is null)
        {
            return;
        }

        if (_changeCount == 0)
        {
            _tables.FinishChanges();
        }
        else if (done.Kind is FaultKind.Removed or FaultKind.Unmapped or FaultKind.Remapped)
        {
            _tables.FinishChange();
        }
        else if (done.Kind == FaultKind.Forked && _forksQueued == 0)
        {
            _tables.FinishForks();
        }
    }

    /// <summary>Goes on with a change. True when it is done; false when a page of it is in flight, or others want their turn.</summary>
    private bool Advance(ref AddressChange change, ref int looked)
    {
        while (change.Cursor < change.End)
        {
            Segment? segment = _segments.FindFrom(change.Cursor);
            if (segment is null || segment.Address >= change.End)
            {
                break;
            }

            change.Cursor = Math.Max(change.Cursor, segment.Address);
            ulong end = Math.Min(change.End, segment.End);
            for (; change.Cursor < end; change.Cursor += PageSize.Bytes)
            {
                if (looked++ == PagesPerStep)
                {
                    return false;
                }

                var id = new PageId(segment.Number, (long)((change.Cursor - segment.Address) >> PageSize.Shift));
                // A page that is being dropped is given up as it is. To wait for the evictor would be to wait for each other: its drop is told too.
                bool isDone = change.Kind switch
                {
                    FaultKind.Remapped => MovePage(id, change.Cursor, change.Target + (change.Cursor - change.Start)),
                    FaultKind.Unmapped when _placedCount > 0 && Entry(id).State != PageState.Untouched => GiveUpUnmapped(id, change.Cursor),
                    _ => Entry(id).State == PageState.Dropping || GiveUpPage(id),
                };
                if (!isDone)
                {
                    return false;
                }
            }
        }

        return _changesDone >= _changesLeft || change.Kind switch
        {
            FaultKind.Remapped => AdmitFound(change.Target, change.Target + (change.End - change.Start)),
            FaultKind.Unmapped => AdmitFound(change.Start, change.End),
            _ => true,
        };
    }

    /// <summary>As <see cref="GiveUpPage"/>, unless the address is taken again by what the page belongs to.</summary>
    private bool GiveUpUnmapped(PageId id, ulong address) => IsTakenAgain(address) switch
    {
        0 => true,
        Errno.EAGAIN => false,
        _ => Entry(id).State == PageState.Dropping || GiveUpPage(id),
    };

    /// <summary>The program has given the page's contents up. False while it is in flight.</summary>
    private bool GiveUpPage(PageId id)
    {
        ref PageEntry entry = ref Entry(id);
        switch (entry.State)
        {
            case PageState.Untouched:
                break;
            case PageState.Remote or PageState.Held:
                DiscardRemote(ref entry);
                break;
            case PageState.Resident:
                ReleaseSlot(ref entry);
                entry.IsProtected = false;
                entry.Apply(PageEvent.Vanish);
                _occupied--;
                _inProgram--;
                break;
            case PageState.Lost:
                ReleaseSlot(ref entry);
                entry.Apply(PageEvent.Vanish);
                break;
            case PageState.Leaving:
                entry.Apply(PageEvent.Discard);
                ForgetStaged(entry.Index);
                break;
            default:
                return false;
        }

        entry.IsWaiting = false;
        return true;
    }

    /// <summary>The page is at another address now. False while it is in flight.</summary>
    private bool MovePage(PageId id, ulong before, ulong address)
    {
        ref PageEntry entry = ref Entry(id);
        if (entry.State is PageState.Taking or PageState.Fetching or PageState.Dropping or PageState.Clearing)
        {
            return false;
        }

        entry.IsWaiting = false;
        if ((Captures ? FindOrMakeWindow(address) : _segments.Find(address)) is not { } segment)
        {
            // Nowhere to keep it: better the program ends than that it finds zeros, or waits for ever.
            NoteProgramError(Errno.EFAULT);
            return true;
        }

        // Also for a page without contents: that the old mapping of its place is gone may be told later than this.
        var moved = new PageId(segment.Number, (long)((address - segment.Address) >> PageSize.Shift));
        ref PageEntry target = ref Entry(moved);
        if (!GiveUpPage(moved))
        {
            return false;
        }

        if (entry.State == PageState.Untouched)
        {
            return true;
        }

        if (entry.State == PageState.Held)
        {
            _held.Free(entry.Index);
            entry.Apply(PageEvent.HeldRelease);
        }

        segment.Hashes[moved.Page] = _segments[id.Segment].Hashes[id.Page];
        segment.Touch(moved.Page);
        _tables?.NoteCursor(before | PageTableFile.IsMoving);
        entry.MoveTo(ref target);
        _tables?.NoteCursor(before + PageSize.Bytes);
        if (target.State == PageState.Leaving)
        {
            _staging.Page(target.Index).Id = moved;
        }
        else if (target.State == PageState.Resident)
        {
            Admit(moved, ref target, PageArrival.Demand);
        }

        return true;
    }
}
