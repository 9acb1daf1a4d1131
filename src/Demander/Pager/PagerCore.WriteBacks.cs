using Hecatonchire.Install;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Staging;
using Hecatonchire.Transport;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Pager;

/// <summary>Write-backs: what of a staged block must go to the sponsor, and when it may be forgotten here.</summary>
internal sealed unsafe partial class PagerCore
{
    private readonly BlockStack _recycles;
    private int _blocksToWrite;
    private int _writesInFlight;

    /// <summary>
    /// All pages of the block are in staging. The unchanged ones, known by the hash the evictor took of them in place, are
    /// dropped without being looked at; the others are mirrored, and those that are not all zero need a write.
    /// </summary>
    private void StageBlock(int block)
    {
        ref StagingBlock leaving = ref _staging.Block(block);
        leaving.State = BlockState.Writing;
        leaving.InstalledBefore = _installed;
        int first = block * StagingBlocks.BlockPages;
        long hint = PageEntry.NoSlot;
        for (int i = 0; i < leaving.Pages; i++)
        {
            ref StagedPage page = ref _staging.Page(first + i);
            if (page.State == StagedState.Taking && IsUnchanged(first + i, in page))
            {
                DropClean(ref page);
                leaving.Pending--;
            }
        }

        if (!MirrorBlock(first, leaving.Pages))
        {
            return;
        }

        // Only now are they Leaving: a fault on a page whose mirror is not read yet must wait for it.
        bool isDirty = false;
        for (int i = 0; i < leaving.Pages; i++)
        {
            ref StagedPage page = ref _staging.Page(first + i);
            if (page.State == StagedState.Taking)
            {
                Entry(page.Id).Apply(PageEvent.TakeDone);
                Judge(first + i, ref page, ref hint);
                isDirty |= page.State == StagedState.ToWrite;
                leaving.Pending -= page.State == StagedState.Done ? 1 : 0;
            }
        }

        leaving.IsListed = isDirty;
        _blocksToWrite += isDirty ? 1 : 0;
        for (int i = 0; i < leaving.Pages; i++)
        {
            WakeWaiter(ref _staging.Page(first + i));
        }

        RecycleIfDone(block);
    }

    /// <summary>Reads the moved stretches of a block out of the program. A hole in between must not be read: it would fault.</summary>
    private bool MirrorBlock(int first, int pages)
    {
        int i = 0;
        while (i < pages)
        {
            if (_staging.Page(first + i).State != StagedState.Taking)
            {
                i++;
                continue;
            }

            int run = 1;
            while (i + run < pages && _staging.Page(first + i + run).State == StagedState.Taking)
            {
                run++;
            }

            int errno = _program.ReadStaging(first + i, run, _staging.Mirror(first + i));
            if (errno != 0)
            {
                NoteProgramError(errno);
                return false;
            }

            i += run;
        }

        return true;
    }

    private bool IsUnchanged(int staged, in StagedPage page) =>
        DirtyTracking != DirtyTracking.None && HoldsVersions(Entry(page.Id).Slot)
        && _segments[page.Id.Segment].Hashes[page.Id.Page] == _program.StagedHash(staged);

    private void DropClean(ref StagedPage page)
    {
        ref PageEntry entry = ref Entry(page.Id);
        entry.Apply(PageEvent.TakeDone);
        entry.Apply(PageEvent.LeaveClean);
        page.State = StagedState.Done;
        Counters.PagesDropped++;
        Counters.RemotePages++;
    }

    /// <summary>A changed page: all zero, it is forgotten; else it needs a slot and a write.</summary>
    private void Judge(int staged, ref StagedPage page, ref long hint)
    {
        ref PageEntry entry = ref Entry(page.Id);
        if (PageHash.IsZero(_staging.Mirror(staged)))
        {
            ReleaseSlot(ref entry);
            entry.Apply(PageEvent.LeaveZero);
            page.State = StagedState.Done;
            Counters.PagesDropped++;
            return;
        }

        Segment segment = _segments[page.Id.Segment];
        // From here to the acknowledgement the staged page owns the slot: were the page recalled, it would have none.
        page.Slot = TakeSlot(ref entry);
        segment.Hashes[page.Id.Page] = _program.StagedHash(staged);
        page.State = StagedState.ToWrite;
        if (page.Slot == PageEntry.NoSlot)
        {
            page.Slot = _slots.Allocate(hint >= 0 ? hint : SlotAfterNeighbour(segment, page.Id.Page));
        }

        hint = page.Slot + 1;
    }

    /// <summary>True for a slot that still holds what was written there.</summary>
    private bool HoldsVersions(long slot) => slot != PageEntry.NoSlot && !_slots.IsClosed(slot);

    /// <summary>The slot of a page whose contents have changed, to be written; none where others have theirs there, who keep it, or where nothing can be written.</summary>
    private long TakeSlot(ref PageEntry entry)
    {
        long slot = entry.Slot;
        if (slot != PageEntry.NoSlot && (_slots.IsShared(slot) || _slots.IsClosed(slot)))
        {
            _slots.Release(slot);
            slot = PageEntry.NoSlot;
        }

        entry.Slot = PageEntry.NoSlot;
        return slot;
    }

    /// <summary>Adjacent pages in adjacent slots can be fetched by one request.</summary>
    private static long SlotAfterNeighbour(Segment segment, long page)
    {
        long slot = page > 0 ? segment.Entries[page - 1].Slot : PageEntry.NoSlot;
        return slot == PageEntry.NoSlot ? PageEntry.NoSlot : slot + 1;
    }

    private void WakeWaiter(ref StagedPage page)
    {
        ref PageEntry entry = ref Entry(page.Id);
        if (entry.IsWaiting)
        {
            // Also lifts the wait of a writer stopped by the write-protection of a copying take: it will fault as missing.
            entry.IsWaiting = false;
            if (_program.TakeCopies)
            {
                _ = _program.Wake(AddressOf(page.Id), 1);
            }

            HandleFault(page.Id, FaultKind.Write, 0, page.FaultedAt);
        }
    }

    /// <summary>A staged page was recalled: its write-back is not needed, or its slot is free once that has ended.</summary>
    private void ForgetStaged(int staged)
    {
        ref StagedPage page = ref _staging.Page(staged);
        if (page.State == StagedState.Writing)
        {
            page.State = StagedState.Orphan;
            return;
        }

        if (page.Slot != PageEntry.NoSlot)
        {
            _slots.Release(page.Slot);
        }

        page.State = StagedState.Done;
        FinishStaged(staged / StagingBlocks.BlockPages);
    }

    private void FinishStaged(int block)
    {
        _staging.Block(block).Pending--;
        RecycleIfDone(block);
    }

    /// <summary>Posts the WRITEs of staged blocks, adjacent slots in one request, as far as the connection takes them.</summary>
    private void PumpWrites()
    {
        PumpRecycles();
        if (_blocksToWrite == 0 || SponsorLost || _programGone)
        {
            return;
        }

        for (int block = 0; block < _staging.Count && _blocksToWrite > 0; block++)
        {
            ref StagingBlock leaving = ref _staging.Block(block);
            if (leaving.IsListed && !PostBlock(block, ref leaving))
            {
                break;
            }
        }
    }

    private bool PostBlock(int block, ref StagingBlock leaving)
    {
        int first = block * StagingBlocks.BlockPages;
        while (leaving.WriteCursor < leaving.Pages)
        {
            int staged = first + leaving.WriteCursor;
            if (_staging.Page(staged).State != StagedState.ToWrite)
            {
                leaving.WriteCursor++;
                continue;
            }

            ref StagedPage page = ref _staging.Page(staged);
            if (page.Slot != PageEntry.NoSlot && _slots.IsClosed(page.Slot))
            {
                _slots.Release(page.Slot);
                page.Slot = PageEntry.NoSlot;
            }

            if (page.Slot == PageEntry.NoSlot && (page.Slot = _slots.Allocate(PageEntry.NoSlot)) == PageEntry.NoSlot)
            {
                // Slots of recalled pages whose writes are still in flight come back with their acknowledgements.
                return false;
            }

            int run = WriteRun(staged, leaving.Pages - leaving.WriteCursor);
            ulong slab = _slots.Locate(page.Slot, out uint slot);
            if (!_writer.TryPostWrite(((ulong)staged << 16) | (uint)run, slab, slot, run, _staging.Mirror(staged)))
            {
                return false;
            }

            for (int i = 0; i < run; i++)
            {
                _staging.Page(staged + i).State = StagedState.Writing;
            }

            _writesInFlight++;
            Counters.PagesOut += run;
            leaving.WriteCursor += run;
        }

        Unlist(ref leaving);
        return true;
    }

    private void Unlist(ref StagingBlock block)
    {
        _blocksToWrite -= block.IsListed ? 1 : 0;
        block.IsListed = false;
    }

    private int WriteRun(int staged, int most)
    {
        long slot = _staging.Page(staged).Slot;
        int run = 1;
        most = Math.Min(most, _writer.PagesPerRequestMax);
        while (run < most && _staging.Page(staged + run).State == StagedState.ToWrite && _staging.Page(staged + run).Slot == slot + run
            && (slot + run) >> SlotMap.SlotBits == slot >> SlotMap.SlotBits)
        {
            run++;
        }

        return run;
    }

    private bool TakeWritten()
    {
        if (_writesInFlight == 0 && !CheckConnections)
        {
            return false;
        }

        int count = _writer.Poll(_completions);
        _writesInFlight -= count;
        for (int i = 0; i < count; i++)
        {
            if ((_completions[i].Cookie & CleanCookie) != 0)
            {
                FinishCleaned(_completions[i].Cookie, _completions[i].Status);
                continue;
            }

            int staged = (int)(_completions[i].Cookie >> 16);
            int pages = (int)(_completions[i].Cookie & 0xFFFF);
            if (_completions[i].Status != DataStatus.Done || _slots.IsClosed(_staging.Page(staged).Slot))
            {
                SponsorLost |= _writer.IsBroken;
                KeepUnwritten(staged, pages);
                continue;
            }

            for (int p = 0; p < pages; p++)
            {
                Acknowledge(staged + p);
            }
        }

        return count > 0;
    }

    /// <summary>
    /// A WRITE failed: the staged copies are the only ones now; they stay, answer faults, and are written elsewhere if there is an elsewhere. Recalled ones are
    /// done with.
    /// </summary>
    private void KeepUnwritten(int staged, int pages)
    {
        ref StagingBlock block = ref _staging.Block(staged / StagingBlocks.BlockPages);
        block.WriteCursor = Math.Min(block.WriteCursor, staged % StagingBlocks.BlockPages);
        _blocksToWrite += block.IsListed ? 0 : 1;
        block.IsListed = true;
        for (int i = staged; i < staged + pages; i++)
        {
            ref StagedPage page = ref _staging.Page(i);
            if (page.State == StagedState.Orphan)
            {
                page.State = StagedState.ToWrite;
                ForgetStaged(i);
            }
            else
            {
                page.State = StagedState.ToWrite;
            }
        }
    }

    private void Acknowledge(int staged)
    {
        ref StagedPage page = ref _staging.Page(staged);
        if (page.State == StagedState.Orphan)
        {
            _slots.Release(page.Slot);
        }
        else
        {
            ref PageEntry entry = ref Entry(page.Id);
            // In this order: were this the last that the pager does, the next one must find it in staging or in its slot.
            entry.Slot = page.Slot;
            entry.Apply(PageEvent.LeaveAcknowledged);
            Counters.RemotePages++;
        }

        page.State = StagedState.Done;
        FinishStaged(staged / StagingBlocks.BlockPages);
    }
}
