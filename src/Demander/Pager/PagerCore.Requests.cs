using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Staging;

namespace Hecatonchire.Pager;

/// <summary>What the program asks for: segments come, go and change size, and advice. In steps, between faults.</summary>
internal sealed unsafe partial class PagerCore
{
    /// <summary>Pages looked at per round, so that a fault waits some microseconds behind a large request and not more.</summary>
    private const int PagesPerStep = 2048;

    /// <summary>Pages per DROP command: bounds how long the evictor is busy with one.</summary>
    private const int DropRunPages = 512;

    /// <summary>Drops in flight, in order; as many as the ring has commands.</summary>
    private readonly (PageId First, int Pages, bool IsOccupied)[] _drops = new (PageId, int, bool)[512];
    private int _dropHead;
    private int _dropCount;

    private PagerRequest? _mailbox;
    private PagerRequest? _request;
    private (int Segment, long Cursor, long End) _willNeed = (-1, 0, 0);

    /// <summary>Held by who has a request: there is one at a time.</summary>
    public Lock Turn { get; } = new();

    /// <summary>Hands a request to the pager thread; the caller then waits for <see cref="PagerRequest.Done"/>.</summary>
    public void Post(PagerRequest request) => Volatile.Write(ref _mailbox, request);

    private bool StepRequest()
    {
        // Of a program that is gone no change will ever be done, and who waits for a request must be told.
        if (IsChangePending && !_programGone)
        {
            return false;
        }

        bool progress = StepWillNeed();
        if (_request is null)
        {
            PagerRequest? posted = Interlocked.Exchange(ref _mailbox, null);
            if (posted is null)
            {
                return progress;
            }

            _request = posted;
            Begin(posted);
            progress = true;
        }

        if (_request is { } request && Step(request, ref progress))
        {
            _request = null;
            request.Done.Set();
            progress = true;
        }

        return progress;
    }

    /// <summary>Checks a request and sets its range; an invalid one ends at once with its status.</summary>
    private void Begin(PagerRequest request)
    {
        switch (request.Kind)
        {
            case PagerRequestKind.Allocate:
                request.Status = AddSegment(request);
                return;
            case PagerRequestKind.Capture:
                return;
            case PagerRequestKind.Measure:
                ApplyMeasure(request);
                return;
            case PagerRequestKind.ResizeFromOutside:
                BeginResize(request);
                return;
            case PagerRequestKind.Survey:
                return;
        }

        Segment? segment = _segments.Find(request.Address);
        bool isWhole = request.Kind is PagerRequestKind.Free or PagerRequestKind.Resize;
        if (segment is null || (isWhole && segment.Address != request.Address))
        {
            request.Status = -Errno.EINVAL;
            return;
        }

        request.Segment = segment;
        switch (request.Kind)
        {
            case PagerRequestKind.Free:
                (request.Cursor, request.End, segment.OpenPages) = (0, segment.Pages, 0);
                break;
            case PagerRequestKind.Resize:
                (request.Cursor, request.End) = (Math.Min(request.Pages, segment.Pages), segment.Pages);
                segment.OpenPages = request.Cursor;
                break;
            default:
                long first = (long)((request.Address - segment.Address) >> Units.PageSize.Shift);
                request.Status = request.Pages < 0 || request.Pages > segment.Pages - first ? -Errno.EINVAL : 0;
                (request.Cursor, request.WaitCursor, request.End) = (first, first, first + request.Pages);
                break;
        }
    }

    /// <summary>Goes on with the request. True when it has ended.</summary>
    private bool Step(PagerRequest request, ref bool progress)
    {
        if ((request.Status != 0 && request.Stage != ResizeStage.Reopen) || request.Kind is PagerRequestKind.Allocate or PagerRequestKind.Measure)
        {
            return true;
        }

        if (request.Kind == PagerRequestKind.Survey)
        {
            return StepSurvey(request, ref progress);
        }

        if (_programGone)
        {
            (request.Status, _isClosing) = (-Errno.ESRCH, false);
            return true;
        }

        switch (request.Kind)
        {
            case PagerRequestKind.Free when StepDiscard(request, ref progress):
                RemoveSegment(request.Segment!);
                return true;
            case PagerRequestKind.Resize when StepDiscard(request, ref progress):
                request.Status = FinishResize(request);
                return true;
            case PagerRequestKind.Advise:
                return StepAdvise(request, ref progress);
            case PagerRequestKind.Capture:
                return StepCapture(request);
            case PagerRequestKind.ResizeFromOutside:
                return StepResize(request, ref progress);
            default:
                return false;
        }
    }

    private int AddSegment(PagerRequest request)
    {
        int number = _segments.FreeNumber();
        if (number < 0 || request.Pages <= 0 || _segments.Find(request.Address) is not null
            || _segments.Find(request.Address + ((ulong)request.Pages << Units.PageSize.Shift) - 1) is not null)
        {
            return number < 0 ? -Errno.ENOMEM : -Errno.EINVAL;
        }

        try
        {
            request.Segment = Segment.Create(number, request.Address, request.Pages, _tables, request.Identity);
            _segments.Add(request.Segment);
            UpdateBudget();
            return 0;
        }
        catch (Exception e) when (e is OutOfMemoryException or InvalidOperationException)
        {
            return -Errno.ENOMEM;
        }
    }

    private void RemoveSegment(Segment segment)
    {
        _queue.Forget(segment.Number);
        ForgetCleaned(segment.Number);
        _segments.Remove(segment);
        _willNeed = _willNeed.Segment == segment.Number ? (-1, 0, 0) : _willNeed;
        segment.Dispose();
        UpdateBudget();
    }

    private int FinishResize(PagerRequest request)
    {
        try
        {
            _queue.Sweep();
            _segments.Resize(request.Segment!, request.Pages);
            UpdateBudget();
            return 0;
        }
        catch (Exception e) when (e is OutOfMemoryException or InvalidOperationException)
        {
            return -Errno.ENOMEM;
        }
    }

    private bool StepAdvise(PagerRequest request, ref bool progress)
    {
        Segment segment = request.Segment!;
        switch (request.Advice)
        {
            case ProgramAdvice.Normal or ProgramAdvice.Random or ProgramAdvice.Sequential:
                segment.Advice = (SegmentAdvice)request.Advice;
                return true;
            case ProgramAdvice.WillNeed:
                _willNeed = (segment.Number, request.Cursor, request.End);
                return true;
            case ProgramAdvice.DontNeed:
                return StepDiscard(request, ref progress);
            case ProgramAdvice.PageOut:
                return StepPageOut(request, ref progress);
            default:
                request.Status = -Errno.EINVAL;
                return true;
        }
    }

    /// <summary>
    /// Makes pages untouched: forgets the remote ones, drops the resident ones, waits for those in flight. True when the
    /// range is done.
    /// </summary>
    private bool StepDiscard(PagerRequest request, ref bool progress)
    {
        Segment segment = request.Segment!;
        for (int looked = 0; looked < PagesPerStep && request.Cursor < request.End; looked++)
        {
            if (!segment.IsTouched(request.Cursor))
            {
                (request.Cursor, progress) = (segment.NextTouched(request.Cursor, request.End), true);
                continue;
            }

            var id = new PageId(segment.Number, request.Cursor);
            ref PageEntry entry = ref segment.Entries[request.Cursor];
            switch (entry.State)
            {
                case PageState.Untouched:
                    break;
                case PageState.Remote or PageState.Held:
                    DiscardRemote(ref entry);
                    break;
                case PageState.Leaving when SponsorLost:
                    // Its write-back will never end.
                    entry.Apply(PageEvent.Discard);
                    ForgetStaged(entry.Index);
                    break;
                case PageState.Resident or PageState.Lost:
                    int run = PostDropRun(segment, id, (int)Math.Min(DropRunPages, request.End - request.Cursor));
                    if (run == 0)
                    {
                        return false;
                    }

                    progress = true;
                    request.Cursor += run;
                    continue;
                default:
                    return false;
            }

            // A page beyond the open ones is waited for no more: were the range used again, its first fault would be taken as parked.
            entry.IsWaiting &= request.Cursor < segment.OpenPages;
            request.Cursor++;
            progress = true;
        }

        return request.Cursor >= request.End && _dropCount == 0;
    }

    private void DiscardRemote(ref PageEntry entry)
    {
        if (entry.State == PageState.Held)
        {
            _held.Free(entry.Index);
        }

        ReleaseSlot(ref entry);
        entry.Apply(PageEvent.Discard);
        Counters.RemotePages--;
    }

    /// <summary>Orders the pages from <paramref name="first"/> on that are in its state dropped. 0 when no command is free.</summary>
    private int PostDropRun(Segment segment, PageId first, int most)
    {
        if (_program.FreeCommands == 0 || _dropCount == _drops.Length)
        {
            return 0;
        }

        PageState state = segment.Entries[first.Page].State;
        int run = 0;
        while (run < most && segment.Entries[first.Page + run].State == state)
        {
            segment.Entries[first.Page + run].Apply(PageEvent.DropStart);
            segment.Entries[first.Page + run].IsProtected = false;
            run++;
        }

        _drops[(_dropHead + _dropCount++) % _drops.Length] = (first, run, state == PageState.Resident);
        _program.PostDrop(AddressOf(first), run, DropCookie);
        return run;
    }

    private void FinishDrop(in EvictorCompletion completion)
    {
        (PageId first, int pages, bool isOccupied) = _drops[_dropHead];
        _dropHead = (_dropHead + 1) % _drops.Length;
        _dropCount--;
        NoteProgramError(-completion.Status);
        for (int i = 0; i < pages; i++)
        {
            var id = new PageId(first.Segment, first.Page + i);
            ref PageEntry entry = ref Entry(id);
            ReleaseSlot(ref entry);
            entry.Apply(PageEvent.DropDone);
            entry.IsWaiting &= id.Page < _segments[id.Segment].OpenPages;
            if (entry.IsWaiting)
            {
                _parked.Push(id, 0, 0, isWrite: true);
            }
        }

        if (isOccupied)
        {
            _occupied -= pages;
            _inProgram -= pages;
        }
    }

    /// <summary>Takes out every resident page of the range, then waits until the last of it has left.</summary>
    private bool StepPageOut(PagerRequest request, ref bool progress)
    {
        Segment segment = request.Segment!;
        while (request.Cursor < request.End && !SponsorLost)
        {
            long most = Math.Min(BatchPages, TakeRoom);
            if (!CanTakeOut)
            {
                return false;
            }

            int count = 0;
            long stepEnd = Math.Min(request.End, request.Cursor + PagesPerStep);
            while (request.Cursor < stepEnd && count < most)
            {
                if (!segment.IsTouched(request.Cursor))
                {
                    request.Cursor = segment.NextTouched(request.Cursor, request.End);
                    stepEnd = Math.Min(request.End, Math.Max(stepEnd, request.Cursor));
                    continue;
                }

                if (segment.Entries[request.Cursor].State == PageState.Resident)
                {
                    _victims[count++] = new PageId(segment.Number, request.Cursor);
                }

                request.Cursor++;
            }

            if (count > 0)
            {
                SendAway(count);
            }

            progress = true;
            if (request.Cursor == stepEnd && stepEnd < request.End)
            {
                return false;
            }
        }

        for (int looked = 0; looked < PagesPerStep && request.WaitCursor < request.End; looked++)
        {
            request.WaitCursor = segment.NextTouched(request.WaitCursor, request.End);
            if (request.WaitCursor < request.End && segment.Entries[request.WaitCursor].State is PageState.Taking or PageState.Clearing or PageState.Leaving && !SponsorLost)
            {
                return false;
            }

            request.WaitCursor++;
            progress = true;
        }

        request.Status = SponsorLost ? -Errno.EIO : 0;
        return request.WaitCursor >= request.End || SponsorLost;
    }

    /// <summary>Fetches an advised range in the background, as far as room and buffers go; what does not fit is left.</summary>
    private bool StepWillNeed()
    {
        (int number, long cursor, long end) = _willNeed;
        if (number < 0)
        {
            return false;
        }

        Segment segment = _segments[number];
        bool progress = false;
        end = Math.Min(end, segment.OpenPages);
        for (int looked = 0; looked < PagesPerStep && cursor < end && !SponsorLost; looked++)
        {
            cursor = segment.NextTouched(cursor, end);
            if (cursor == end)
            {
                progress = true;
                break;
            }

            ref PageEntry entry = ref segment.Entries[cursor];
            if (entry.State != PageState.Remote || entry.IsWaiting)
            {
                cursor++;
                progress = true;
                continue;
            }

            int run = RemoteRun(segment, cursor, (int)Math.Min(int.MaxValue, end - cursor));
            if (Room - run < LowWatermark)
            {
                cursor = end;
                break;
            }

            _occupied += run;
            if (StartFetch(new PageId(number, cursor), run, isDemand: false) < 0)
            {
                _occupied -= run;
                break;
            }

            Counters.PagesPrefetched += run;
            cursor += run;
            progress = true;
        }

        _willNeed = cursor < end && !SponsorLost ? (number, cursor, end) : (-1, 0, 0);
        return progress;
    }
}
