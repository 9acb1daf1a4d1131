using System.Runtime.InteropServices;
using Hecatonchire.Eviction;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Staging;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>Evictions: pages out of the program into staging, ahead of need, and back to the kernel.</summary>
internal sealed unsafe partial class PagerCore
{
    private const ulong RecycleCookie = 1UL << 32;
    private const ulong DropCookie = 1UL << 33;

    /// <summary>A take that copies may always be this large: below it a ceiling that fell could never be reached again.</summary>
    private const int CopyPagesMin = 4;

    private readonly PageId[] _victims = new PageId[StagingBlocks.BlockPages];

    private int _takesInFlight;
    private int _recyclesInFlight;

    /// <summary>Pages in a row that the kernel refused to take because they are locked or no longer the pager's.</summary>
    private long _refusedInARow;

    /// <summary>Pages that come in while a block is written, and half as many: <see cref="NoteWritten"/>.</summary>
    private long _ahead;

    /// <summary>Pages the evictor holds twice until it has answered; only where taking copies.</summary>
    private long _copying;

    /// <summary>Pages that may be taken now: copies must not exceed the ceiling either.</summary>
    private long TakeRoom => _program.TakeCopies ? Math.Max(Ceiling - _occupied, _copying == 0 ? CopyPagesMin : 0) : long.MaxValue;

    /// <summary>Pages per batch: a small budget must not have a large part of itself in staging.</summary>
    private int BatchPages => (int)Math.Clamp(Allowance / 16, 4, StagingBlocks.BlockPages);

    /// <summary>
    /// True when a batch has a staging block, commands, and where it must, room for its copies. Where a drop is a change that is told, the evictor
    /// waits for this thread to read it, and what is behind it in the ring would wait too.
    /// </summary>
    private bool CanTakeOut =>
        _staging.FreeBlocks > 0 && _program.FreeCommands >= StagingBlocks.BlockPages && _copying == 0
        && TakeRoom > 0 && (_dropCount == 0 || !_program.TellsChanges) && HasSlotsForBatch && !WaitsForUnshared;

    /// <summary>
    /// Below so many free pages, counting those that are on their way out, more are sent there: the watermark, or where writing takes long, as many as are wanted meanwhile. Else a
    /// program with a sponsor that is far, or slow, would get a watermark's pages in each round trip, and its faults would wait for them. A quarter of what may be here is the most.
    /// </summary>
    private long EvictBelow => Math.Max(LowWatermark, Math.Min(_ahead, Allowance / 4));

    /// <summary>Keeps the free pages, counting those that are on their way out, between the watermarks.</summary>
    private bool EvictAhead()
    {
        if (!_program.HasEvictor || StandsBehindFork)
        {
            // Of what it has meanwhile, all must find its place in the queues.
            EnsureAdoptable(2 * LiftPages);
            return false;
        }

        if (SponsorLost || IsChangePending || _isClosing || Room + _departing >= EvictBelow)
        {
            _unsharedInVain = 0;
            return false;
        }

        bool progress = false;
        long upTo = EvictBelow + HighWatermark - LowWatermark;
        while (Room + _departing < upTo && CanTakeOut)
        {
            int wanted = (int)Math.Min(Math.Min(BatchPages, TakeRoom), upTo - Room - _departing);
            int count = CollectInherited(wanted);
            while (count < wanted && _queue.TryPop(out PageId victim))
            {
                _victims[count++] = victim;
            }

            if (count == 0)
            {
                break;
            }

            SendAway(count);
            progress = true;
        }

        return progress;
    }

    /// <summary>Orders the victims collected in <see cref="_victims"/> out: the unchanged ones dropped, the others into staging.</summary>
    private void SendAway(int count)
    {
        // As plain integers: sorting with a comparer would allocate a delegate each time.
        MemoryMarshal.Cast<PageId, ulong>(_victims.AsSpan(0, count)).Sort();
        int rest = 0;
        for (int i = 0; i < count;)
        {
            if (CanClear && IsInItsSlot(in Entry(_victims[i])))
            {
                i += ClearRun(i, count);
            }
            else
            {
                _victims[rest++] = _victims[i++];
            }
        }

        if (rest > 0)
        {
            TakeOut(rest);
        }
    }

    /// <summary>Orders the first victims into a staging block, adjacent pages in one command.</summary>
    private void TakeOut(int count)
    {
        int block = _staging.Acquire();
        ref StagingBlock leaving = ref _staging.Block(block);
        leaving.Pages = count;
        leaving.Pending = count;
        int staged = block * StagingBlocks.BlockPages;
        int runStart = 0;
        for (int i = 0; i < count; i++)
        {
            ref PageEntry entry = ref Entry(_victims[i]);
            entry.Apply(PageEvent.TakeStart);
            entry.IsProtected = false;
            entry.Index = staged + i;
            _staging.Page(staged + i) = new StagedPage { Id = _victims[i], Slot = PageEntry.NoSlot, State = StagedState.Taking };
            bool isRunEnd = i + 1 == count || _victims[i + 1].Order != _victims[i].Order + 1;
            if (isRunEnd)
            {
                int pages = i + 1 - runStart;
                _program.PostTake(AddressOf(_victims[runStart]), pages, staged + runStart, TakeCookie(block, runStart, pages));
                leaving.Commands++;
                _takesInFlight++;
                runStart = i + 1;
            }
        }

        // Where taking means copying, both copies are there until the originals are dropped.
        _copying += _program.TakeCopies ? count : 0;
        _occupied += _program.TakeCopies ? count : 0;
        _departing += count;
        CountInstalled(0);
    }

    private static ulong TakeCookie(int block, int start, int pages) => ((ulong)block << 16) | ((ulong)start << 8) | (uint)pages;

    private bool TakeEvictorCompletions()
    {
        int count = _program.PollCompletions(_evictorCompletions);
        for (int i = 0; i < count; i++)
        {
            ref readonly EvictorCompletion completion = ref _evictorCompletions[i];
            if ((completion.Cookie & ClearCookie) != 0)
            {
                FinishClear(in completion);
            }
            else if (completion.Cookie == ResizeCookie)
            {
                FinishResizeOrder(completion.Status);
            }
            else if ((completion.Cookie & DropCookie) != 0)
            {
                FinishDrop(in completion);
            }
            else if ((completion.Cookie & RecycleCookie) != 0)
            {
                FinishRecycle((int)(completion.Cookie & 0xFFFF), -completion.Status);
            }
            else
            {
                FinishTake(in completion);
            }
        }

        _evictorAwaited &= _takesInFlight > 0 || _dropCount > 0 || _clearCount > 0;
        return count > 0;
    }

    private void FinishTake(in EvictorCompletion completion)
    {
        int block = (int)(completion.Cookie >> 16);
        int start = (int)(completion.Cookie >> 8) & 0xFF;
        int asked = (int)(completion.Cookie & 0xFF);
        int moved = (int)Math.Min(completion.Pages, (uint)asked);
        ref StagingBlock leaving = ref _staging.Block(block);
        int staged = (block * StagingBlocks.BlockPages) + start;
        leaving.Moved += moved;
        NoteRefused(moved, asked, completion.Status);
        for (int i = moved; i < asked; i++)
        {
            // The first page after the moved ones met the error; the rest were not tried.
            ReturnUntaken(staged + i, i == moved ? -completion.Status : Errno.EAGAIN);
            leaving.Pending--;
        }

        int returned = asked - moved;
        _departing -= returned;
        if (_program.TakeCopies)
        {
            _occupied -= asked;
            _copying -= asked;
        }

        _takesInFlight--;
        if (--leaving.Commands == 0)
        {
            StageBlock(block);
        }
    }

    private void NoteRefused(int done, int asked, int status)
    {
        _refusedInARow = done > 0 ? 0 : _refusedInARow + (status == -Errno.EINVAL ? asked : 0);
        _unsharedInVain = done > 0 ? 0 : _unsharedInVain;
        if (_refusedInARow > _queue.Count + asked && _parked.Count > 0)
        {
            // Every resident page was tried in vain, and a thread waits for room: it would for ever.
            NoteProgramError(Errno.EINVAL);
        }

        if (status == -Errno.ESRCH)
        {
            NoteProgramError(Errno.ESRCH);
        }
    }

    private void ReturnUntaken(int staged, int errno)
    {
        ref StagedPage page = ref _staging.Page(staged);
        page.State = StagedState.Done;
        ref PageEntry entry = ref Entry(page.Id);
        if (errno == Errno.ENOENT)
        {
            // The program gave the page up itself (madvise): it reads as zero from now on.
            ReleaseSlot(ref entry);
            entry.Apply(PageEvent.TakeHole);
            _occupied--;
            _inProgram--;
        }
        else
        {
            entry.Apply(PageEvent.TakeBusy);
            Admit(page.Id, ref entry, PageArrival.Returned);
            NoteShared(page.Id, errno);
            if (errno == Errno.ESRCH)
            {
                NoteProgramError(errno);
            }
        }

        if (entry.IsWaiting)
        {
            entry.IsWaiting = false;
            _ = _program.Unprotect(AddressOf(page.Id), 1);
        }
    }

    private void FinishRecycle(int block, int errno)
    {
        // Pages that stay in staging (the program locked all its memory) would be above the budget and in the way of the next.
        NoteProgramError(errno);
        int moved = _staging.Block(block).Moved;
        _occupied -= moved;
        _departing -= moved;
        _inProgram -= moved;
        _recyclesInFlight--;
        _staging.Release(block);
    }

    /// <summary>Sends a block back to the kernel once none of its pages is needed any more.</summary>
    private void RecycleIfDone(int block)
    {
        ref StagingBlock leaving = ref _staging.Block(block);
        if (leaving.Pending > 0 || leaving.State != BlockState.Writing)
        {
            return;
        }

        NoteWritten(in leaving);
        Unlist(ref leaving);
        if (leaving.Moved == 0)
        {
            _staging.Release(block);
            return;
        }

        leaving.State = BlockState.Recycling;
        _recyclesInFlight++;
        _recycles.Push(block);
    }

    /// <summary>
    /// A block has been written: half as many pages more than came in meanwhile are to be ahead, so that where it was room that kept more from coming in, there is more each time.
    /// That less is needed is believed slowly.
    /// </summary>
    private void NoteWritten(in StagingBlock block)
    {
        long came = _installed - block.InstalledBefore, wanted = Math.Min(came + (came / 2), Allowance / 4);
        _ahead = wanted > _ahead ? wanted : _ahead - ((_ahead - wanted) >> 5);
    }

    /// <summary>Posts recycles that waited for a free command.</summary>
    private void PumpRecycles()
    {
        while (_recycles.Count > 0 && _program.FreeCommands > 0)
        {
            int block = _recycles.Pop();
            _program.PostRecycle(block * StagingBlocks.BlockPages, _staging.Block(block).Pages, RecycleCookie | (uint)block);
        }
    }

    private void ReleaseSlot(ref PageEntry entry)
    {
        if (entry.Slot != PageEntry.NoSlot)
        {
            _slots.Release(entry.Slot);
            entry.Slot = PageEntry.NoSlot;
        }
    }
}
