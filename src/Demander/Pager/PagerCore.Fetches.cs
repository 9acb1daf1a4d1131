using Hecatonchire.Eviction;
using Hecatonchire.Fetch;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Prefetch;
using Hecatonchire.Transport;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>Fetches: demand reads, prefetch windows, and putting what came into the program.</summary>
internal sealed unsafe partial class PagerCore
{
    private const int WindowPagesMax = 128;

    private int _demandsInFlight;

    /// <summary>Pages placed in this poll whose threads are not woken yet.</summary>
    private readonly ulong[] _wakes = new ulong[64];
    private int _wakeCount;
    private bool _wakesTogether;

    /// <summary>The last <see cref="CopyRun"/> met a page that was there: what the program has need not be what was fetched.</summary>
    private bool _passedOver;

    private void FetchOnDemand(PageId id, ref PageEntry entry, FaultKind kind, int thread, long faultedAt)
    {
        if (SponsorLost)
        {
            Lose(id, ref entry);
            return;
        }

        if (!TryReserveFor(id))
        {
            Park(id, ref entry, kind, thread, faultedAt);
            return;
        }

        int operation = StartFetch(id, 1, isDemand: true);
        if (operation < 0)
        {
            _occupied--;
            Park(id, ref entry, kind, thread, faultedAt);
            return;
        }

        _fetches[operation].FaultedAt = faultedAt;
        _fetches[operation].IsWrite = kind == FaultKind.Write;
        Counters.HardFaults++;
        Trace?.Begin(faultedAt);
        PrefetchWindow window = AskPolicy(id, thread);
        if (window.Count > 0)
        {
            Prefetch(id.Segment, window);
        }
    }

    /// <summary>
    /// Posts a READ for pages whose room is reserved and whose slots are adjacent. -1 when no buffer or request is
    /// free; nothing has changed then.
    /// </summary>
    private int StartFetch(PageId first, int pages, bool isDemand)
    {
        int index = _fetches.Acquire(pages, isDemand);
        if (index < 0)
        {
            return -1;
        }

        ref FetchOperation fetch = ref _fetches[index];
        ulong slab = _slots.Locate(Entry(first).Slot, out uint slot);
        if (!_reader.TryPostRead((ulong)index, slab, slot, pages, fetch.Buffer))
        {
            _fetches.Release(index);
            return -1;
        }

        (fetch.First, fetch.Pages, fetch.IsDemand, fetch.IsWrite, fetch.HasMarker, fetch.Stream, fetch.FaultedAt) =
            (first, pages, isDemand, false, false, -1, 0);
        fetch.Arrival = PageArrival.Demand;
        for (int i = 0; i < pages; i++)
        {
            ref PageEntry entry = ref Entry(new PageId(first.Segment, first.Page + i));
            entry.Apply(PageEvent.FetchStart);
            entry.Index = index;
        }

        Counters.PagesIn += pages;
        _demandsInFlight += isDemand ? 1 : 0;
        IsDemandInFlight = _demandsInFlight > 0;
        return index;
    }

    /// <summary>How wide a window may be: a small budget must not be filled by one stream, nor the watermark used up.</summary>
    private int WindowMax() => (int)Math.Clamp(Math.Min(Allowance / 8, Room - (LowWatermark / 2)), 0, WindowPagesMax);

    /// <summary>Requests what a window names and is remote, fills what is untouched; stops where the room stops.</summary>
    private void Prefetch(int segmentNumber, PrefetchWindow window)
    {
        if (IsChangePending)
        {
            return;
        }

        Segment segment = _segments[segmentNumber];
        int issued = 0;
        bool markerSet = false;
        int i = 0;
        while (i < window.Count)
        {
            long page = window.First + ((long)i * window.Stride);
            if (page < 0 || page >= segment.OpenPages)
            {
                break;
            }

            var id = new PageId(segmentNumber, page);
            PageState state = segment.Entries[page].State;
            if (segment.Entries[page].IsWaiting || state is not (PageState.Remote or PageState.Untouched) || (state == PageState.Remote && SponsorLost))
            {
                i++;
                continue;
            }

            int most = window.Stride == 1 ? window.Count - i : 1;
            int pages = state == PageState.Remote ? RemoteRun(segment, page, most) : UntouchedRun(segment, page, most);
            if (state == PageState.Untouched && Captures && (pages = PagesBeforeKeptOut(AddressOf(id), pages)) == 0)
            {
                break;
            }

            if (Room - pages < LowWatermark / 2 || !TryReserve(pages))
            {
                break;
            }

            if (state == PageState.Untouched)
            {
                FillRun(id, pages);
            }
            else if (!StartPrefetch(id, pages, window.Stream, ref markerSet))
            {
                _occupied -= pages;
                break;
            }
            else
            {
                issued += pages;
            }

            i += pages;
        }

        Counters.PagesPrefetched += issued;
        if (window.Stream >= 0)
        {
            _prefetch.Issued(window.Stream, issued, window.First + ((long)i * window.Stride));
        }
    }

    private bool StartPrefetch(PageId first, int pages, int stream, ref bool markerSet)
    {
        int operation = StartFetch(first, pages, isDemand: false);
        if (operation < 0)
        {
            return false;
        }

        ref FetchOperation fetch = ref _fetches[operation];
        fetch.Stream = stream;
        fetch.Arrival = PageArrival.Prefetch;
        fetch.HasMarker = stream >= 0 && !markerSet;
        markerSet = true;
        return true;
    }

    /// <summary>The pages from <paramref name="page"/> on that are remote in adjacent slots of one slab.</summary>
    private static int RemoteRun(Segment segment, long page, int most)
    {
        most = (int)Math.Min(Math.Min(most, FetchOperations.RunPages), segment.OpenPages - page);
        long slot = segment.Entries[page].Slot;
        int run = 1;
        while (run < most && segment.Entries[page + run].State == PageState.Remote && !segment.Entries[page + run].IsWaiting
            && segment.Entries[page + run].Slot == slot + run
            && (slot + run) >> SlotMap.SlotBits == slot >> SlotMap.SlotBits)
        {
            run++;
        }

        return run;
    }

    private static int UntouchedRun(Segment segment, long page, int most)
    {
        most = (int)Math.Min(Math.Min(most, ZeroRunPages), segment.OpenPages - page);
        int run = 1;
        while (run < most && segment.Entries[page + run].State == PageState.Untouched && !segment.Entries[page + run].IsWaiting)
        {
            run++;
        }

        return run;
    }

    /// <summary>A fault on a page in flight: its completion will wake the thread, and the stream learns that it is used.</summary>
    private void WaitForFetch(PageId id, ref PageEntry entry, FaultKind kind, long faultedAt)
    {
        ref FetchOperation fetch = ref _fetches[entry.Index];
        entry.IsWaiting = true;
        fetch.IsWrite |= kind == FaultKind.Write;
        if (fetch.FaultedAt == 0)
        {
            fetch.FaultedAt = faultedAt;
        }

        if (fetch.Stream >= 0)
        {
            int stream = fetch.Stream;
            fetch.Stream = -1;
            fetch.HasMarker = false;
            FollowStream(id, stream);
        }
    }

    private void FollowStream(PageId id, int stream)
    {
        PrefetchWindow window = _prefetch.OnHit(stream, id, WindowMax());
        if (window.Count > 0)
        {
            Prefetch(id.Segment, window);
        }
    }

    private void InstallHeld(PageId id, ref PageEntry entry, FaultKind kind, int thread, long faultedAt)
    {
        if (!TryReserveFor(id))
        {
            if (!LoseWithoutRoom(id, ref entry))
            {
                Park(id, ref entry, kind, thread, faultedAt);
            }

            return;
        }

        int held = entry.Index;
        int stream = _held.Stream(held);
        CopyMode mode = ModeFor(kind == FaultKind.Write, 1);
        int errno = CopyRun(id, _held.Buffer(held), 1, mode, out int copied);
        if (copied == 0)
        {
            _occupied--;
            NoteUninstalled(id, 1, errno);
            return;
        }

        _held.Free(held);
        entry.Apply(PageEvent.HeldInstall);
        entry.IsProtected = mode == CopyMode.WriteProtect && !_passedOver;
        entry.IsWaiting = false;
        Counters.RemotePages--;
        Admit(id, ref entry, PageArrival.Prefetch);
        CountInstalled(1);
        RecordLatency(faultedAt);
        FollowStream(id, stream);
    }

    private bool TakeFetched()
    {
        if (_fetches.InFlight == 0 && !CheckConnections)
        {
            return false;
        }

        int count = _reader.Poll(_completions);
        if (count > 0)
        {
            Trace?.NoteReceived();
        }

        _wakesTogether = count > 1;
        for (int i = 0; i < count; i++)
        {
            int index = (int)_completions[i].Cookie;
            ref FetchOperation fetch = ref _fetches[index];
            _demandsInFlight -= fetch.IsDemand ? 1 : 0;
            if (_completions[i].Status == DataStatus.Done)
            {
                byte* named = _completions[i].Buffer;
                Install(ref fetch, named == null ? fetch.Buffer : named);
                if (named != null)
                {
                    _reader.Release(named);
                }
            }
            else
            {
                SponsorLost |= _reader.IsBroken;
                LoseFetched(ref fetch);
            }

            _fetches.Release(index);
        }

        IsDemandInFlight = _demandsInFlight > 0;
        WakeTogether();
        if (count > 0)
        {
            Trace?.NoteInstalled();
        }

        return count > 0;
    }

    /// <summary>
    /// Wakes the threads whose pages came in one poll. At the same moment, so that their next faults come together too and
    /// share their system calls; with one call where nobody else waits in between.
    /// </summary>
    private void WakeTogether()
    {
        _wakesTogether = false;
        if (_wakeCount > 1 && _demandsInFlight == 0)
        {
            ulong lowest = ulong.MaxValue, highest = 0;
            for (int i = 0; i < _wakeCount; i++)
            {
                lowest = Math.Min(lowest, _wakes[i]);
                highest = Math.Max(highest, _wakes[i]);
            }

            // In between there may be threads whose faults are not read or are parked: they look again, and fault again.
            _ = _program.Wake(lowest, (long)((highest - lowest) >> PageSize.Shift) + 1);
        }
        else
        {
            for (int i = 0; i < _wakeCount; i++)
            {
                _ = _program.Wake(_wakes[i], 1);
            }
        }

        _wakeCount = 0;
    }

    /// <summary>Puts a run that has come to <paramref name="data"/> into the program: a page that a thread waits for first and alone, the rest in one call.</summary>
    private void Install(ref FetchOperation fetch, byte* data)
    {
        Segment segment = _segments[fetch.First.Segment];
        long page = fetch.First.Page;
        int start = 0;
        if (fetch.HasMarker && !segment.Entries[page].IsWaiting)
        {
            Hold(fetch.First, fetch.Stream, data);
            start = 1;
        }

        if (fetch.FaultedAt != 0)
        {
            for (int i = start; i < fetch.Pages; i++)
            {
                if (segment.Entries[page + i].IsWaiting)
                {
                    InstallRun(segment, page + i, 1, data + ((nint)i << PageSize.Shift), fetch.IsWrite, fetch.Arrival);
                }
            }

            RecordLatency(fetch.FaultedAt);
        }

        int at = start;
        while (at < fetch.Pages)
        {
            if (segment.Entries[page + at].State != PageState.Fetching)
            {
                at++;
                continue;
            }

            int run = 1;
            while (at + run < fetch.Pages && segment.Entries[page + at + run].State == PageState.Fetching)
            {
                run++;
            }

            InstallRun(segment, page + at, run, data + ((nint)at << PageSize.Shift), fetch.IsWrite, fetch.Arrival);
            at += run;
        }
    }

    private void InstallRun(Segment segment, long page, int pages, byte* data, bool isWrite, PageArrival arrival)
    {
        var first = new PageId(segment.Number, page);
        CopyMode mode = ModeFor(isWrite, pages);
        bool wakesLater = _wakesTogether && pages == 1 && _wakeCount < _wakes.Length;
        int copied = 0;

        // What is fetched is older than a change that is pending.
        int errno = IsChangePending && IsChanging(AddressOf(first), pages)
            ? Errno.EAGAIN
            : CopyRun(first, data, pages, mode | (wakesLater ? CopyMode.LeaveAsleep : CopyMode.None), out copied);
        if (wakesLater && copied == 1)
        {
            _wakes[_wakeCount++] = AddressOf(first);
        }

        for (int i = 0; i < copied; i++)
        {
            ref PageEntry entry = ref segment.Entries[page + i];
            entry.Apply(PageEvent.FetchDone);
            entry.IsWaiting = false;
            entry.IsProtected = mode == CopyMode.WriteProtect && !_passedOver;
            Admit(new PageId(segment.Number, page + i), ref entry, arrival);
        }

        for (int i = copied; i < pages; i++)
        {
            // A program that is gone or changing refuses a page; the entry must still not point at an operation that ends now.
            segment.Entries[page + i].Apply(PageEvent.FetchAborted);
            segment.Entries[page + i].IsWaiting = false;
        }

        Counters.RemotePages -= copied;
        _occupied -= pages - copied;
        CountInstalled(copied);
        NoteUninstalled(first, pages, errno);
    }

    /// <summary>
    /// UFFDIO_COPY until all pages are there. A page that exists already is passed over: only the program itself could
    /// have put it there, and what it has is newer; <see cref="_passedOver"/> then tells. Returns 0 or the errno that stopped it.
    /// </summary>
    private int CopyRun(PageId first, byte* data, int pages, CopyMode mode, out int copied)
    {
        copied = 0;
        _passedOver = false;
        ulong address = AddressOf(first);
        int most = pages;
        while (copied < pages)
        {
            int errno = _program.Copy(address + ((ulong)copied << PageSize.Shift), data + ((nint)copied << PageSize.Shift),
                Math.Min(pages - copied, most), mode, out int done);
            copied += done;
            if (errno == Errno.ENOENT && most > 1 && Captures)
            {
                // A run over two mappings, or over the end of one, is refused as a whole.
                most = 1;
            }
            else if (errno == Errno.EEXIST)
            {
                _passedOver = true;
                _ = _program.Wake(address + ((ulong)copied << PageSize.Shift), 1);
                copied++;
            }
            else if (errno != 0)
            {
                return errno;
            }
        }

        NoteCarriedOut();
        return 0;
    }

    /// <summary>Keeps a marker page outside the program until it is touched; its room goes back.</summary>
    private void Hold(PageId id, int stream, byte* data)
    {
        ReleaseHeld();
        ref PageEntry entry = ref Entry(id);
        entry.Apply(PageEvent.FetchHeld);
        entry.Index = _held.Hold(id, stream, data);
        _occupied--;
    }

    /// <summary>Empties the oldest held place; the page is remote again, as it was all along.</summary>
    private void ReleaseHeld()
    {
        int oldest = _held.Oldest(out PageId occupant);
        if (!occupant.IsNone)
        {
            Entry(occupant).Apply(PageEvent.HeldRelease);
            _held.Free(oldest);
        }
    }

    private void LoseFetched(ref FetchOperation fetch)
    {
        Segment segment = _segments[fetch.First.Segment];
        for (int i = 0; i < fetch.Pages; i++)
        {
            var id = new PageId(segment.Number, fetch.First.Page + i);
            ref PageEntry entry = ref Entry(id);
            bool isTouched = fetch.IsDemand || entry.IsWaiting;
            entry.Apply(isTouched ? PageEvent.FetchLost : PageEvent.FetchAborted);
            entry.IsWaiting = false;
            if (isTouched)
            {
                Counters.RemotePages--;
                Counters.PagesLost++;
                Poison(id);
            }
        }

        _occupied -= fetch.Pages;
    }
}
