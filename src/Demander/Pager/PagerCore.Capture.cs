using Hecatonchire.Eviction;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>
/// Memory of a program that knows nothing of the pager: ranges are taken over while it runs, with what is in them. Its address space is cut into
/// windows, segments of <see cref="WindowPages"/> at fixed places, made where something is taken over or moves to, so that no mapping has to be followed: a
/// page is known by its address alone. Slots are not reserved by the page but had as contents need them.
/// </summary>
internal sealed unsafe partial class PagerCore
{
    /// <summary>1 GiB: 4 MiB of entries and hashes, of which only what is used is touched.</summary>
    public const long WindowPages = 1L << 18;

    /// <summary>Ranges of one request at most: each is a change, of which a batch of events must still find place.</summary>
    public const int CaptureRangesMax = 64;

    /// <summary>Of the budget, what memory outside the pager's hands leaves to that in its hands at least: a quarter.</summary>
    private const int OutsideShareMin = 4;

    /// <summary>How far above the ceiling a program may grow until it is measured again, while its sponsor can take no more.</summary>
    private const long LiftPages = (64L << 20) / PageSize.Bytes;

    private const long SharedLiftStep = (4L << 20) / PageSize.Bytes;

    /// <summary>What a system call takes, in looks at an entry.</summary>
    private const int LooksPerCall = 32;

    private readonly AddressRange[] _present = new AddressRange[64];

    /// <summary>Targets of moves and ranges taken over since the kernel last carried a call out; see <see cref="IsTakenAgain"/>.</summary>
    private readonly AddressRange[] _placed = new AddressRange[PageTableFile.PlacedMax];
    private int _placedCount;

    private long _placeChanges;
    private long _outsidePages;
    private long _liftedPages;
    private long _sharedLiftPages;

    /// <summary>True: any memory of the program can become the pager's. Needs <see cref="IProgramMemory.TellsChanges"/>.</summary>
    public bool Captures { get; init; }

    /// <summary>
    /// Where no page may be filled ahead: memory of other userfaultfds, of which staging is one. The kernel lets any of them fill what any of them has
    /// registered.
    /// </summary>
    public IReadOnlyList<AddressRange> KeptOut { get; set; } = [];

    /// <summary>A page of libheca's that nobody touches but a forked child, to make itself known; 0: there is none.</summary>
    public ulong TouchAddress { get; init; }

    /// <summary>
    /// Changes of place (munmap, mremap) read so far. A range that was found without a registration is taken over only if there was none since: it might
    /// be another mapping by now.
    /// </summary>
    public long PlaceChanges => Volatile.Read(ref _placeChanges);

    /// <summary>Data that the pager answers for: pages here and pages on sponsors.</summary>
    private long CapturedPages => _inProgram + Counters.RemotePages;

    /// <summary>
    /// What may be in the program of its captured memory: the budget less what else of the program is resident. Without bound where nothing can leave:
    /// before there is an evictor, and behind a fork, which may wait for who waits for room.
    /// </summary>
    private long CapturedCeiling => !_program.HasEvictor || StandsBehindFork
        ? _occupied + LiftPages
        : Math.Max(Math.Max(_liftedPages, _sharedLiftPages), Math.Min(CapturedBound, _pressurePages));

    private long CapturedBound => IsHeir
        ? Math.Max(_budgetPages - _outsidePages, _budgetPages / OutsideShareMin)
        : _inheritedPages + ChildBound;

    /// <summary>A batch may need a slot for each of its pages, and so may those that are on their way.</summary>
    private bool HasSlotsForBatch => !Captures || _slots.FreeSlots >= _departing + BatchPages;

    /// <summary>Cleaning gives a slot to a page that may never leave: not those that leaving pages need.</summary>
    private bool HasSlotsToSpare => !Captures || _slots.FreeSlots >= 2 * _staging.Count * Staging.StagingBlocks.BlockPages;

    /// <summary>
    /// Takes ranges over. Requests stand still while changes are carried out; here the ones that are not told yet are waited for as well, since a move of what
    /// was in the range before would find its pages given up. True when the pages that were there are adopted, or the look was in vain.
    /// </summary>
    private bool StepCapture(PagerRequest request)
    {
        if (request.Cursor > 0)
        {
            return true;
        }

        if (request.PlaceChanges != _placeChanges)
        {
            request.Status = -Errno.EAGAIN;
            return true;
        }

        // A program that has announced a fork has asked whether it has anything that its child must have served.
        if (_isForkAwaited || _program.FindRegistered(request.Ranges[0].Start) == Errno.EAGAIN)
        {
            return false;
        }

        request.Cursor++;
        _program.NoteCaptured();
        if (TouchAddress != 0)
        {
            _ = _program.Register(TouchAddress, 1);
        }

        UpdateBudget();
        foreach (AddressRange range in request.Ranges)
        {
            int errno = TryMakeWindows(range) ? RegisterNew(range) : Errno.ENOMEM;
            if (errno == 0)
            {
                NoteChange(new FaultEvent(FaultKind.Captured, range.Start, range.End, 0));
            }
            else
            {
                request.Status = -errno;
            }
        }

        return false;
    }

    /// <summary>
    /// Registers a range that had no registration when it was looked at. A mapping before it that has become longer, which nobody is told, has pages
    /// there that must not be given up: then it is EAGAIN. Between the two calls it can grow as well, but has no pages yet, since this thread makes them.
    /// </summary>
    private int RegisterNew(AddressRange range) => _program.FindRegistered(range.Start) switch
    {
        Errno.ENOENT => _program.Register(range.Start, range.Pages),
        _ => Errno.EAGAIN,
    };

    /// <summary>What lies outside the pager's hands was measured, and whether the sponsor has more to lend.</summary>
    private void ApplyMeasure(PagerRequest request)
    {
        _outsidePages = request.OutsidePages;
        _liftedPages = request.IsSponsorFull ? _occupied + LiftPages : 0;
        UpdateBudget();
    }

    /// <summary>
    /// As many pages as there are were tried in vain: something else uses them, and none can be made the program's alone. A thread that waits for room
    /// goes on above the bound; that is told.
    /// </summary>
    private void LiftForShared()
    {
        _unsharedInVain = 0;
        Counters.SharedRounds++;
        _sharedLiftPages = _occupied + SharedLiftStep;
        EnsureQueued(_sharedLiftPages);
    }

    /// <summary>Room in the eviction queues and in the cleaner's ring for so many resident pages; allocates.</summary>
    private void EnsureQueued(long resident)
    {
        _queue.EnsureCapacity(resident, Math.Max(_segments.TotalPages, resident));
        _arrivals.EnsureCapacity(resident);
    }

    /// <summary>The pages that are adopted may be more than the budget: each must find its place in the queues all the same.</summary>
    private void EnsureAdoptable(long pages)
    {
        long needed = _occupied + pages;
        if (_queue.Capacity < needed)
        {
            EnsureQueued(needed + (needed / 4));
        }
    }

    private bool TryMakeWindows(AddressRange range)
    {
        for (ulong address = range.Start; address < range.End;)
        {
            Segment? window = FindOrMakeWindow(address);
            if (window is null)
            {
                return false;
            }

            address = window.End;
        }

        return true;
    }

    /// <summary>
    /// The window of an address. Made where there is none, which allocates: it happens once per GiB of addresses, and not in its pages' faults. Null when
    /// there are too many, or no memory.
    /// </summary>
    private Segment? FindOrMakeWindow(ulong address)
    {
        if (_segments.Find(address) is { } found)
        {
            return found;
        }

        const ulong Bytes = (ulong)WindowPages << PageSize.Shift;
        ulong start = address & ~(Bytes - 1);
        (ulong below, ulong above) = _segments.GapAround(address);
        ulong end = Math.Min(start + Bytes, above);
        start = Math.Max(start, below);
        int number = _segments.FreeNumber();
        if (number < 0)
        {
            return null;
        }

        try
        {
            var window = Segment.Create(number, start, (long)((end - start) >> PageSize.Shift), _tables);
            _segments.Add(window);
            return window;
        }
        catch (InsufficientMemoryException)
        {
            return null;
        }
    }

    /// <summary>
    /// Goes on with a range that is the pager's now: what is known of its pages was of an earlier mapping, and what is there becomes resident. False when
    /// a page is in flight, a change is not told yet, or others want their turn.
    /// </summary>
    private bool Adopt(ref AddressChange change, ref int looked)
    {
        while (change.Cursor < change.End)
        {
            if (looked >= PagesPerStep)
            {
                return false;
            }

            Segment window = _segments.Find(change.Cursor)!;
            long pages = Math.Min((long)((Math.Min(change.End, window.End) - change.Cursor) >> PageSize.Shift), PagesPerStep);

            // There may have been a hole when the range was registered, and something else in it by now, of which nobody is told.
            int errno = _program.FindRegistered(change.Cursor, pages);
            while (errno == Errno.ENOENT && pages > 1)
            {
                pages /= 2;
                looked += LooksPerCall;
                errno = _program.FindRegistered(change.Cursor, pages);
            }

            if (errno == Errno.EAGAIN || (errno == 0 && !GiveUpRun(window, change.Cursor, pages)))
            {
                return false;
            }

            ulong end = change.Cursor + ((ulong)pages << PageSize.Shift);
            if (errno == 0)
            {
                AdoptPresent(window, change.Cursor, end);
            }

            looked += (int)pages + LooksPerCall;
            change.Cursor = end;
        }

        return true;
    }

    private bool GiveUpRun(Segment window, ulong address, long pages)
    {
        long first = (long)((address - window.Address) >> PageSize.Shift);
        for (long page = first; page < first + pages; page++)
        {
            if (!GiveUpPage(new PageId(window.Number, page)))
            {
                return false;
            }
        }

        return true;
    }

    private void AdoptPresent(Segment window, ulong start, ulong end)
    {
        while (start < end)
        {
            int runs = _program.FindPresent(start, new AddressRange(start, end).Pages, _present);
            if (runs < 0)
            {
                // They stay, without being evicted, and count as outside.
                return;
            }

            for (int i = 0; i < runs; i++)
            {
                EnsureAdoptable(_present[i].Pages);
                long first = (long)((_present[i].Start - window.Address) >> PageSize.Shift);
                for (long page = first; page < first + _present[i].Pages; page++)
                {
                    AdoptPage(window, page);
                }

                Counters.PagesAdopted += _present[i].Pages;
                _occupied += _present[i].Pages;
                CountInstalled((int)_present[i].Pages);
            }

            start = runs == _present.Length ? _present[runs - 1].End : end;
        }
    }

    private void AdoptPage(Segment window, long page)
    {
        ref PageEntry entry = ref window.Entries[page];
        window.Touch(page);
        entry.Apply(PageEvent.Adopt);
        Admit(new PageId(window.Number, page), ref entry, PageArrival.ZeroFill);
    }

    /// <summary>What of a range is before the first page that is kept out.</summary>
    private int PagesBeforeKeptOut(ulong address, int pages)
    {
        ulong end = address + ((ulong)pages << PageSize.Shift);
        for (int i = 0; i < KeptOut.Count; i++)
        {
            if (KeptOut[i].Start < end && KeptOut[i].End > address)
            {
                end = Math.Max(KeptOut[i].Start, address);
            }
        }

        return (int)((end - address) >> PageSize.Shift);
    }

    private void NotePlaced(ulong start, ulong end)
    {
        if (!Captures)
        {
            return;
        }

        if (_placedCount == _placed.Length)
        {
            // Of more, the one that covers them all: a look too many costs a system call.
            foreach (AddressRange other in _placed)
            {
                (start, end) = (Math.Min(start, other.Start), Math.Max(end, other.End));
            }

            _placedCount = 0;
        }

        _placed[_placedCount++] = new AddressRange(start, end);
        _tables?.WritePlaced(_placed.AsSpan(0, _placedCount));
    }

    private void ForgetPlaced()
    {
        if (_placedCount > 0)
        {
            _placedCount = 0;
            _tables?.WritePlaced([]);
        }
    }

    /// <summary>
    /// An unmapped page's address has something of the pager's again, which was told first: of two threads' changes the kernel tells one when its thread gets
    /// to it. As long as such a change is not told, the kernel carries none of the pager's calls out; so only what was placed since the last one it did can be meant.
    /// Returns 0 when it is so, ENOENT when not, EAGAIN while more is to be read.
    /// </summary>
    private int IsTakenAgain(ulong address)
    {
        for (int i = 0; i < _placedCount; i++)
        {
            if (address >= _placed[i].Start && address < _placed[i].End)
            {
                return _program.FindRegistered(address);
            }
        }

        return Errno.ENOENT;
    }

    /// <summary>
    /// Asks the kernel whether every change of before has been told, as soon as it may be: until then what was placed must be told apart from what
    /// was unmapped.
    /// </summary>
    private void AskWhetherAllIsTold()
    {
        if (_placedCount > 0 && !IsChangePending && _program.FindRegistered(_placed[0].Start) != Errno.EAGAIN)
        {
            ForgetPlaced();
        }
    }

    /// <summary>The kernel has carried out a call: every change of before has been told. What is told may still have to be done here.</summary>
    private void NoteCarriedOut()
    {
        if (!IsChangePending)
        {
            ForgetPlaced();
        }
    }
}
