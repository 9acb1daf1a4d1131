using System.Diagnostics;
using Hecatonchire.Eviction;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Prefetch;
using Hecatonchire.Staging;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>Faults: what each needs by the state of its page.</summary>
internal sealed unsafe partial class PagerCore
{
    /// <summary>The window of the first fault in a segment the program calls sequential, before a stream is known.</summary>
    private const int AdvisedWindowPages = 64;

    private bool TakeFaults()
    {
        // Every staged page may yet wake a waiter into the parked queue: events beyond that stay with the kernel.
        if (_parked.Free <= (_staging.Count * StagingBlocks.BlockPages) + FaultBatch || !HasRoomForChanges())
        {
            return false;
        }

        int count = _program.ReadFaults(_events);
        if (count <= 0)
        {
            NoteProgramError(count < 0 ? -count : 0);
            return false;
        }

        // First of all: the kernel refuses what a change forbids only until it is read, and with it may have come faults of before and after.
        for (int i = 0; i < count && _program.TellsChanges; i++)
        {
            if (_events[i].IsChange)
            {
                NoteChange(in _events[i], isRead: true);
            }
        }

        _program.ForgetFaults();
        _tables?.ForgetMessages();
        _isQuiet = false;
        long now = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
        {
            ref readonly FaultEvent fault = ref _events[i];
            if (fault.IsChange)
            {
                continue;
            }

            Counters.Faults++;
            LastFaultThread = fault.Thread;
            FirstFaultThread = FirstFaultThread == 0 ? fault.Thread : FirstFaultThread;
            Segment? segment = Captures ? FindOrMakeWindow(fault.Address) : _segments.Find(fault.Address);
            if (segment is null && Captures)
            {
                // No window can be made: its thread would wait, or fault, for ever.
                NoteProgramError(Errno.ENOMEM);
                continue;
            }

            if (segment is null)
            {
                // A range that was freed while the event was queued: its thread gets SIGSEGV when it looks again.
                _ = _program.Wake(fault.Address, 1);
                continue;
            }

            var id = new PageId(segment.Number, (long)((fault.Address - segment.Address) >> PageSize.Shift));
            if (id.Page < segment.OpenPages)
            {
                HandleFault(id, fault.Kind, fault.Thread, now);
            }
        }

        Trace?.NotePosted();
        _reader.Submit();
        Trace?.NoteSent();
        return true;
    }

    private void HandleFault(PageId id, FaultKind kind, int thread, long faultedAt)
    {
        ref PageEntry entry = ref Entry(id);
        if (IsChangePending && IsChanging(AddressOf(id)))
        {
            entry.IsWaiting = false;
            return;
        }

        if (kind == FaultKind.WriteProtected && entry.State is not (PageState.Taking or PageState.Clearing))
        {
            if (entry.State == PageState.Resident && entry.IsProtected)
            {
                AllowWrites(id);
            }
            else
            {
                // It has left, or is back and unprotected: the thread is to look again.
                _ = _program.Unprotect(AddressOf(id), 1);
            }

            return;
        }

        switch (entry.State)
        {
            case PageState.Untouched:
                FillWithZeros(id, ref entry, kind, thread, faultedAt);
                break;
            case PageState.Resident:
                AnswerResident(id);
                break;
            case PageState.Fetching:
                WaitForFetch(id, ref entry, kind, faultedAt);
                break;
            case PageState.Held:
                InstallHeld(id, ref entry, kind, thread, faultedAt);
                break;
            case PageState.Taking:
                entry.IsWaiting = true;
                _evictorAwaited = true;
                _staging.Page(entry.Index).FaultedAt = faultedAt;
                break;
            case PageState.Dropping or PageState.Clearing:
                entry.IsWaiting = true;
                _evictorAwaited = true;
                break;
            case PageState.Leaving:
                RecallStaged(id, ref entry, kind, thread, faultedAt);
                break;
            case PageState.Remote:
                FetchOnDemand(id, ref entry, kind, thread, faultedAt);
                break;
            case PageState.Lost:
                Poison(id);
                break;
        }
    }

    /// <summary>Keeps a fault that cannot be answered now. The page is in the queue at most once.</summary>
    private void Park(PageId id, ref PageEntry entry, FaultKind kind, int thread, long faultedAt)
    {
        if (!entry.IsWaiting)
        {
            _segments[id.Segment].Touch(id.Page);
            entry.IsWaiting = true;
            Counters.RoomWaits++;
            _parked.Push(id, faultedAt, thread, kind == FaultKind.Write);
        }
    }

    private bool RetryParked()
    {
        bool progress = false;
        for (int left = _parked.Count; left > 0; left--)
        {
            (PageId id, long faultedAt, int thread, bool isWrite) = _parked.Pop();
            if (_segments[id.Segment] is not { } segment || id.Page >= segment.OpenPages || !Entry(id).IsWaiting)
            {
                continue;
            }

            ref PageEntry entry = ref Entry(id);
            if (entry.State is PageState.Fetching or PageState.Taking or PageState.Dropping or PageState.Clearing)
            {
                continue;
            }

            int parked = _parked.Count;
            entry.IsWaiting = false;
            HandleFault(id, isWrite ? FaultKind.Write : FaultKind.Read, thread, faultedAt);
            if (_parked.Count > parked && entry.IsWaiting)
            {
                // Parked again: for want of room or a request. The ones behind it want the same.
                Counters.RoomWaits--;
                break;
            }

            progress = true;
        }

        return progress;
    }

    /// <summary>
    /// First touch: no network. A stream of first touches is filled ahead in runs. The kernel's shared zero page serves a
    /// read; a write needs a page of its own, or the program's write would be charged later, without an event.
    /// </summary>
    private void FillWithZeros(PageId id, ref PageEntry entry, FaultKind kind, int thread, long faultedAt)
    {
        if (!TryReserveFor(id))
        {
            if (!LoseWithoutRoom(id, ref entry))
            {
                Park(id, ref entry, kind, thread, faultedAt);
            }

            return;
        }

        Counters.ZeroFills++;
        if (kind == FaultKind.Read)
        {
            int errno = _program.ZeroPage(AddressOf(id));
            bool isThere = errno == Errno.EEXIST && !IsLeftAlone(id, errno);
            FinishZeroFill(id, 1, errno == 0 || isThere ? 1 : 0, errno == Errno.EEXIST ? 0 : errno, PageArrival.ZeroFill);
        }
        else
        {
            int errno = CopyZeros(id, 1, out int copied);
            FinishZeroFill(id, 1, copied, errno, PageArrival.ZeroFill);
        }

        RecordLatency(faultedAt);
        PrefetchWindow window = AskPolicy(id, thread);
        if (window.Count > 0)
        {
            Prefetch(id.Segment, window);
        }
    }

    private PrefetchWindow AskPolicy(PageId id, int thread)
    {
        SegmentAdvice advice = _segments[id.Segment].Advice;
        if (advice == SegmentAdvice.Random)
        {
            return PrefetchWindow.None;
        }

        int windowMax = WindowMax();
        PrefetchWindow window = _prefetch.OnFault(thread, id, windowMax);
        return window.Count == 0 && advice == SegmentAdvice.Sequential
            ? new PrefetchWindow(id.Page + 1, Math.Min(windowMax, AdvisedWindowPages), 1, stream: -1)
            : window;
    }

    /// <summary>Fills up to <see cref="ZeroRunPages"/> reserved untouched pages ahead of a stream of first touches.</summary>
    private void FillRun(PageId first, int pages)
    {
        int errno = CopyZeros(first, pages, out int copied);
        FinishZeroFill(first, pages, copied, errno, PageArrival.Prefetch);
    }

    private int CopyZeros(PageId first, int pages, out int copied)
    {
        if (!_program.TellsChanges)
        {
            return CopyRun(first, _zeros, pages, CopyMode.None, out copied);
        }

        int errno = _program.Copy(AddressOf(first), _zeros, pages, CopyMode.None, out copied);
        return IsLeftAlone(new PageId(first.Segment, first.Page + copied), errno) ? 0 : errno;
    }

    /// <summary>
    /// A page that is there although it was given up: the kernel has yet to drop it. Were it taken over, it could be moved out before, and come
    /// back with what the program has given up. Who waits for it looks again.
    /// </summary>
    private bool IsLeftAlone(PageId id, int errno)
    {
        if (!_program.TellsChanges || errno != Errno.EEXIST)
        {
            return false;
        }

        _ = _program.Wake(AddressOf(id), 1);
        return true;
    }

    private void FinishZeroFill(PageId first, int reserved, int filled, int errno, PageArrival arrival)
    {
        for (int i = 0; i < filled; i++)
        {
            var id = new PageId(first.Segment, first.Page + i);
            ref PageEntry entry = ref Entry(id);
            _segments[id.Segment].Touch(id.Page);
            entry.Apply(PageEvent.ZeroFill);
            entry.IsWaiting = false;
            Admit(id, ref entry, arrival);
        }

        CountInstalled(filled);
        _occupied -= reserved - filled;
        NoteUninstalled(first, reserved, errno);
    }

    /// <summary>An install stopped with <paramref name="errno"/>: who waits for its pages looks again, or the program is gone.</summary>
    private void NoteUninstalled(PageId first, int pages, int errno)
    {
        if (IsRefusal(errno))
        {
            _ = _program.Wake(AddressOf(first), pages);
        }
        else
        {
            NoteProgramError(errno);
        }
    }

    /// <summary>
    /// An event for a page that is there: another thread's fault brought it in, or the program dropped it behind our back
    /// with madvise. The zero page answers the second as the kernel would, and says EEXIST to the first.
    /// </summary>
    private void AnswerResident(PageId id)
    {
        int errno = _program.ZeroPage(AddressOf(id));
        if (errno == Errno.EEXIST || IsRefusal(errno))
        {
            _ = _program.Wake(AddressOf(id), 1);
            return;
        }

        // Its slot holds what the program gave up.
        ref PageEntry entry = ref Entry(id);
        entry.IsProtected = false;
        ReleaseSlot(ref entry);
    }

    /// <summary>A page on its way out is answered from the mirror of staging, whatever its write-back does meanwhile.</summary>
    private void RecallStaged(PageId id, ref PageEntry entry, FaultKind kind, int thread, long faultedAt)
    {
        int staged = entry.Index;
        if (!TryReserveFor(id))
        {
            if (LoseWithoutRoom(id, ref entry))
            {
                ForgetStaged(staged);
            }
            else
            {
                Park(id, ref entry, kind, thread, faultedAt);
            }

            return;
        }

        int errno = CopyRun(id, _staging.Mirror(staged), 1, CopyMode.None, out int copied);
        if (copied != 1)
        {
            _occupied--;
            NoteUninstalled(id, 1, errno);
            return;
        }

        entry.Apply(PageEvent.Recall);
        entry.IsWaiting = false;
        entry.Slot = PageEntry.NoSlot;
        Admit(id, ref entry, PageArrival.Recall);
        CountInstalled(1);
        Counters.StagingHits++;
        RecordLatency(faultedAt);
        ForgetStaged(staged);
    }

    /// <summary>Raises SIGBUS in whoever touches a page that is lost.</summary>
    private void Poison(PageId id)
    {
        if (!_isLossTold)
        {
            _isLossTold = true;
            Segment segment = _segments[id.Segment];
            OnPageLost?.Invoke(segment.Number, segment.Address, segment.Pages << PageSize.Shift, AddressOf(id));
        }

        int errno = _program.Poison(AddressOf(id));
        if (errno == Errno.EEXIST || IsRefusal(errno))
        {
            _ = _program.Wake(AddressOf(id), 1);
        }
        else if (errno != 0)
        {
            MustStopProgram = true;
        }
    }

    private void Lose(PageId id, ref PageEntry entry)
    {
        if (entry.State == PageState.Held)
        {
            _held.Free(entry.Index);
            entry.Apply(PageEvent.HeldRelease);
        }

        if (entry.State == PageState.Remote)
        {
            Counters.RemotePages--;
        }

        _segments[id.Segment].Touch(id.Page);
        entry.Apply(PageEvent.Lose);
        entry.IsWaiting = false;
        Counters.PagesLost++;
        Poison(id);
    }

    /// <summary>
    /// Without a sponsor nothing can leave, so a page that finds no room never will: SIGBUS, not a silent hang.
    /// False while there still is hope.
    /// </summary>
    private bool LoseWithoutRoom(PageId id, ref PageEntry entry)
    {
        if (!SponsorLost || _takesInFlight > 0 || _recyclesInFlight > 0 || _writesInFlight > 0)
        {
            return false;
        }

        Lose(id, ref entry);
        return true;
    }
}
