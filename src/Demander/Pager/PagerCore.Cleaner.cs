using Hecatonchire.Install;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Transport;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Pager;

/// <summary>
/// Cleaning: while the program does not fault, changed pages are written back ahead of need and stay where they are, so that later
/// they leave without a write. What is written is a copy that the program may be changing at the same time: it counts only by
/// its hash. The page leaves clean if it still has that hash when it is taken; otherwise it is written again. Nothing is
/// lost by a copy that is torn, and a page that a device writes to is as safe as any.
/// </summary>
internal sealed unsafe partial class PagerCore
{
    /// <summary>Entries looked at in one round: some tens of microseconds.</summary>
    private const int CleanLookMax = 1024;

    private const ulong CleanCookie = 1UL << 63;

    /// <summary>The index of a resident page that has been written back, or found not to need it, since it came or was last written to.</summary>
    private const int Cleaned = 1;

    private readonly PageId[] _cleanPages = new PageId[PageSnapshots.PagesMax];
    private readonly long[] _cleanSlots = new long[PageSnapshots.PagesMax];
    private readonly ulong[] _cleanAddresses = new ulong[PageSnapshots.PagesMax];

    private int _cleanCount;
    private int _cleanPosted;
    private int _cleanWrites;
    private bool _isCopying;
    private bool _isQuiet;

    private readonly ArrivalRing _arrivals = new();

    /// <summary>True when there may be changed pages, and nothing is being cleaned.</summary>
    public bool MayClean => !_arrivals.IsEmpty && !IsCleaning && _program.CanSnapshot && DirtyTracking != DirtyTracking.None && !SponsorLost && !_programGone;

    private bool IsCleaning => _cleanCount > 0;

    /// <summary>The program has not faulted for a while: clean until it does, or until there is nothing left to.</summary>
    public void NoteQuiet() => _isQuiet = true;

    /// <summary>A page has become resident, or may be written to from now on: it is worth a look.</summary>
    private void NoteWritable(PageId id, ref PageEntry entry)
    {
        entry.Index = 0;
        if (!entry.IsProtected)
        {
            _arrivals.Push(id);
        }
    }

    private bool StepCleaner()
    {
        if (_isCopying)
        {
            return _program.IsSnapshotDone(out int errno) && TakeSnapshot(errno);
        }

        if (_cleanPosted < _cleanCount)
        {
            return PostCleaned();
        }

        if (_cleanWrites > 0)
        {
            return false;
        }

        _cleanCount = 0;
        return _isQuiet && MayClean && HasSlotsToSpare && !IsChangePending && _fetches.InFlight == 0 && _departing == 0 && _request is null && StartCleaning();
    }

    /// <summary>Collects the next pages that may have changed and has them copied. False when there are none.</summary>
    private bool StartCleaning()
    {
        bool progress = false;
        for (int looked = 0; looked < CleanLookMax && _cleanCount < PageSnapshots.PagesMax && _arrivals.TryTake(out PageId id); looked++)
        {
            progress = true;
            if (_segments[id.Segment] is not { } segment || id.Page >= segment.OpenPages)
            {
                continue;
            }

            ref PageEntry entry = ref segment.Entries[id.Page];
            if (entry.State == PageState.Resident && !entry.IsProtected && entry.Index != Cleaned)
            {
                // Set before the copy is made: what is written to the page afterwards is found by its hash.
                entry.Index = Cleaned;
                _cleanAddresses[_cleanCount] = AddressOf(id);
                _cleanPages[_cleanCount++] = id;
            }
        }

        if (_cleanCount > 0)
        {
            _isCopying = true;
            _cleanPosted = 0;
            _program.PostSnapshot(_cleanAddresses.AsSpan(0, _cleanCount));
        }

        return progress;
    }

    /// <summary>Decides which of the copies are worth a write, and takes their slots out of the page table until they hold them.</summary>
    private bool TakeSnapshot(int errno)
    {
        _isCopying = false;
        long hint = PageEntry.NoSlot;
        for (int i = 0; i < _cleanCount; i++)
        {
            _cleanSlots[i] = PageEntry.NoSlot;
            PageId id = _cleanPages[i];
            if (id.IsNone)
            {
                continue;
            }

            ref PageEntry entry = ref Entry(id);
            byte* copy = _program.SnapshotData + ((nint)i << PageSize.Shift);
            if (errno != 0 || entry.State != PageState.Resident || entry.IsProtected || PageHash.IsZero(copy)
                || (HoldsVersions(entry.Slot) && _segments[id.Segment].Hashes[id.Page] == _program.SnapshotHash(i)))
            {
                continue;
            }

            // The slot is about to hold neither the old version nor, for certain, the new one.
            _cleanSlots[i] = TakeSlot(ref entry);
            if (_cleanSlots[i] == PageEntry.NoSlot)
            {
                _cleanSlots[i] = _slots.Allocate(hint >= 0 ? hint : SlotAfterNeighbour(_segments[id.Segment], id.Page));
            }

            hint = _cleanSlots[i] + 1;
        }

        return true;
    }

    private bool PostCleaned()
    {
        bool progress = false;
        while (_cleanPosted < _cleanCount)
        {
            int first = _cleanPosted;
            long slot = _cleanSlots[first];
            if (slot == PageEntry.NoSlot)
            {
                _cleanPosted++;
                progress = true;
                continue;
            }

            int run = 1;
            int most = Math.Min(_cleanCount - first, _writer.PagesPerRequestMax);
            while (run < most && _cleanSlots[first + run] == slot + run && (slot + run) >> SlotMap.SlotBits == slot >> SlotMap.SlotBits)
            {
                run++;
            }

            ulong slab = _slots.Locate(slot, out uint slotInSlab);
            if (!_writer.TryPostWrite(CleanCookie | ((ulong)first << 16) | (uint)run, slab, slotInSlab, run, _program.SnapshotData + ((nint)first << PageSize.Shift)))
            {
                if (!SponsorLost)
                {
                    break;
                }

                ReleaseCleaned(first, run);
            }
            else
            {
                _writesInFlight++;
                _cleanWrites++;
            }

            _cleanPosted += run;
            progress = true;
        }

        return progress;
    }

    private void FinishCleaned(ulong cookie, DataStatus status)
    {
        int first = (int)(cookie >> 16) & 0xFFFF;
        int run = (int)(cookie & 0xFFFF);
        _cleanWrites--;
        if (status != DataStatus.Done)
        {
            SponsorLost |= _writer.IsBroken;
            ReleaseCleaned(first, run);
            return;
        }

        Counters.PagesOut += run;
        Counters.PagesCleaned += run;
        for (int i = first; i < first + run; i++)
        {
            PageId id = _cleanPages[i];
            if (!id.IsNone && Entry(id) is { State: PageState.Resident, Slot: PageEntry.NoSlot })
            {
                // True whatever became of the page meanwhile: the slot holds what has this hash.
                Entry(id).Slot = _cleanSlots[i];
                _segments[id.Segment].Hashes[id.Page] = _program.SnapshotHash(i);
            }
            else
            {
                _slots.Release(_cleanSlots[i]);
            }
        }
    }

    /// <summary>
    /// A segment is removed. It cannot wait for the batch: whoever copies may stand before a page of it that is gone, and is let go only when
    /// the program, told of the end, unmaps the range.
    /// </summary>
    private void ForgetCleaned(int segment)
    {
        for (int i = 0; i < _cleanCount; i++)
        {
            _cleanPages[i] = !_cleanPages[i].IsNone && _cleanPages[i].Segment == segment ? default : _cleanPages[i];
        }
    }

    /// <summary>A batch that is being copied is given up; its pages are looked at again.</summary>
    private void ForgetCopied()
    {
        for (int i = 0; i < _cleanCount; i++)
        {
            PageId id = _cleanPages[i];
            _cleanPages[i] = default;
            if (!id.IsNone && Entry(id).State == PageState.Resident)
            {
                NoteWritable(id, ref Entry(id));
            }
        }
    }

    private void ReleaseCleaned(int first, int run)
    {
        for (int i = first; i < first + run; i++)
        {
            _slots.Release(_cleanSlots[i]);
        }
    }
}
