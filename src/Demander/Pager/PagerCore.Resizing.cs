using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>
/// A segment's length is changed from outside, while the program uses it. Only its evictor can do that, in one command: all of it or nothing, so that whoever goes on
/// when this pager dies finds either by looking. Before the order the new end is in the page table, and closed; or the pages that go are closed and come to rest, and nothing is taken out of
/// the program meanwhile, since an order for a page that is gone by then would fail. What they held is given up after it, when the program cannot touch them any more: at no moment
/// does it find zeros in place of what it wrote.
/// </summary>
internal sealed unsafe partial class PagerCore
{
    private const ulong ResizeCookie = 1UL << 36;

    /// <summary>Pages at the end of a segment are about to go: nothing is taken out of the program.</summary>
    private bool _isClosing;

    private void BeginResize(PagerRequest request)
    {
        Segment? segment = FindById(request.Identity.Id);
        request.Status = segment is null ? -Errno.ENOENT
            : segment.Identity.ReservePages == 0 || !_program.CanResize || _program.TellsChanges ? -Errno.EOPNOTSUPP
            : !_program.HasEvictor ? -Errno.EAGAIN
            : request.Pages <= 0 ? -Errno.EINVAL
            : request.Pages > segment.Identity.ReservePages ? -Errno.ENOMEM
            : 0;
        if (request.Status != 0)
        {
            return;
        }

        (long before, long after) = (segment!.Pages, request.Pages);
        request.Segment = segment;
        (request.Cursor, request.End) = (Math.Min(before, after), Math.Max(before, after));
        segment.Identity = segment.Identity with { ResizedFrom = before, ResizedTo = after };
        if (after > before && !TryResize(segment, after))
        {
            segment.Identity = segment.Identity with { ResizedFrom = 0, ResizedTo = 0 };
            request.Status = -Errno.ENOMEM;
            return;
        }

        segment.OpenPages = request.Cursor;
        _isClosing = after < before;
        request.Stage = _isClosing ? ResizeStage.Settle : ResizeStage.Order;
    }

    /// <summary>True when it has ended.</summary>
    private bool StepResize(PagerRequest request, ref bool progress)
    {
        Segment segment = request.Segment!;
        bool isShrinking = _isClosing;
        switch (request.Stage)
        {
            case ResizeStage.Settle when Settle(request, segment, ref progress):
                request.Stage = request.Status == 0 ? ResizeStage.Order : ResizeStage.Reopen;
                request.Cursor = request.Pages;
                return false;
            case ResizeStage.Order when _program.FreeCommands > 0:
                _program.PostResize(segment.Address, request.Pages, ResizeCookie);
                request.Stage = ResizeStage.Ordered;
                progress = true;
                return false;
            case ResizeStage.GiveUp when Advance(request, segment, ref progress, givesUp: true):
                _isClosing = false;
                request.Status = FinishResize(request);
                EndResize(segment);
                return true;
            case ResizeStage.Reopen when !isShrinking:
                // What was to be new was never touched.
                _ = TryResize(segment, request.Cursor);
                EndResize(segment);
                return true;
            case ResizeStage.Reopen when Advance(request, segment, ref progress, givesUp: false):
                _isClosing = false;
                segment.OpenPages = segment.Pages;
                EndResize(segment);
                _ = _program.Wake(AddressOf(new PageId(segment.Number, request.Pages)), segment.Pages - request.Pages);
                return true;
            default:
                return false;
        }
    }

    /// <summary>The evictor has answered.</summary>
    private void FinishResizeOrder(int status)
    {
        if (_request is not { Kind: PagerRequestKind.ResizeFromOutside } request)
        {
            // It ended with the program.
            return;
        }

        Segment segment = request.Segment!;
        request.Stage = status != 0 ? ResizeStage.Reopen : ResizeStage.GiveUp;
        request.Status = status;
        if (status == 0 && !_isClosing)
        {
            // Who was there first was not answered.
            segment.OpenPages = segment.Pages;
            _ = _program.Wake(AddressOf(new PageId(segment.Number, request.Cursor)), request.End - request.Cursor);
            request.Cursor = request.End;
        }
    }

    /// <summary>True when no page that goes is in flight, or one is in use that may not go, which the status then says.</summary>
    private bool Settle(PagerRequest request, Segment segment, ref bool progress)
    {
        for (int looked = 0; looked < PagesPerStep; looked++)
        {
            long page = segment.NextTouched(request.Cursor, request.End);
            progress |= page > request.Cursor;
            request.Cursor = page;
            if (page == request.End)
            {
                return true;
            }

            PageState state = segment.Entries[page].State;
            if (state != PageState.Untouched && !request.MayDrop)
            {
                request.Status = -Errno.ENOTEMPTY;
                return true;
            }

            if (state is PageState.Fetching or PageState.Taking or PageState.Clearing or PageState.Dropping)
            {
                return false;
            }

            request.Cursor++;
        }

        return false;
    }

    /// <summary>Goes on through the pages that were to go. True when all have been done.</summary>
    private bool Advance(PagerRequest request, Segment segment, ref bool progress, bool givesUp)
    {
        for (int looked = 0; looked < PagesPerStep; looked++)
        {
            request.Cursor = segment.NextTouched(request.Cursor, request.End);
            if (request.Cursor == request.End)
            {
                return true;
            }

            var id = new PageId(segment.Number, request.Cursor);
            if (givesUp && !GiveUpPage(id))
            {
                return false;
            }

            ref PageEntry entry = ref Entry(id);
            if (entry.State is not (PageState.Fetching or PageState.Taking or PageState.Clearing or PageState.Dropping))
            {
                // Parked faults of closed pages were dropped; who waits asks anew.
                entry.IsWaiting = false;
            }

            request.Cursor++;
            progress = true;
        }

        return false;
    }

    private void EndResize(Segment segment)
    {
        segment.Identity = segment.Identity with { ResizedFrom = 0, ResizedTo = 0 };
        UpdateBudget();
    }

    private bool TryResize(Segment segment, long pages)
    {
        try
        {
            _queue.Sweep();
            _segments.Resize(segment, pages);
            return true;
        }
        catch (Exception e) when (e is OutOfMemoryException or InvalidOperationException)
        {
            return false;
        }
    }

    private Segment? FindById(Guid id)
    {
        for (int number = 0; number < SegmentTable.Capacity; number++)
        {
            if (_segments[number] is { } segment && segment.Identity.Id == id)
            {
                return segment;
            }
        }

        return null;
    }

    /// <summary>
    /// What a segment has of pages whose length was being changed when its pager died: the evictor has carried the order out or never will, and which of the two its memory tells.
    /// Throws <see cref="InvalidDataException"/>.
    /// </summary>
    private long PagesLeft(ulong address, long pages, in SegmentIdentity identity)
    {
        (long before, long after) = (identity.ResizedFrom, identity.ResizedTo);
        if (after == 0 || before == after)
        {
            return pages;
        }

        int errno = _program.FindRegistered(address + ((ulong)Math.Min(before, after) << PageSize.Shift));
        long found = errno switch
        {
            0 => Math.Max(before, after),
            Errno.ENOENT => Math.Min(before, after),
            _ => throw new InvalidDataException($"its segments cannot be looked at: {Errno.Describe(errno)}"),
        };
        return found <= pages ? found : throw new InvalidDataException("the page tables are shorter than the segment");
    }

    /// <summary>Goes on with a survey. True when it has ended.</summary>
    private bool StepSurvey(PagerRequest request, ref bool progress)
    {
        progress = true;
        for (int looked = 0; looked < PagesPerStep; looked++)
        {
            // By number: they may come and go between two steps.
            if (request.WaitCursor == SegmentTable.Capacity)
            {
                return true;
            }

            if (_segments[(int)request.WaitCursor] is not { } segment)
            {
                request.WaitCursor++;
                continue;
            }

            if (request.Cursor == 0)
            {
                request.Figures[request.Found] = new SegmentFigures
                {
                    Id = segment.Identity.Id,
                    Address = segment.Address,
                    Pages = segment.Pages,
                    ReservePages = segment.Identity.ReservePages,
                };
            }

            long page = segment.NextTouched(request.Cursor, segment.Pages);
            if (page >= segment.Pages)
            {
                (request.WaitCursor, request.Cursor, request.Found) = (request.WaitCursor + 1, 0, request.Found + 1);
                continue;
            }

            if (Count(in segment.Entries[page], ref request.Figures[request.Found]) is { } place)
            {
                request.Cells?.Add(request.Found, page, request.Figures[request.Found].Pages, place);
            }

            request.Cursor = page + 1;
        }

        return false;
    }

    /// <summary>Null for a page that was never touched.</summary>
    private PagePlace? Count(in PageEntry entry, ref SegmentFigures figures)
    {
        switch (entry.State)
        {
            case PageState.Untouched:
                return null;
            case PageState.Lost:
                figures.LostPages++;
                return PagePlace.Lost;
            case PageState.Remote or PageState.Held or PageState.Fetching:
                bool isLost = entry.Slot != PageEntry.NoSlot && _slots.IsClosed(entry.Slot);
                figures.LostPages += isLost ? 1 : 0;
                figures.RemotePages += isLost ? 0 : 1;
                return isLost ? PagePlace.Lost : PagePlace.Remote;
            default:
                figures.ResidentPages++;
                return PagePlace.Here;
        }
    }
}
