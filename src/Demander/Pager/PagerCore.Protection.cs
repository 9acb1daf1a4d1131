using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;

namespace Hecatonchire.Pager;

/// <summary>
/// Pages that are known to be unchanged: installed write-protected, they leave without being looked at, by one MADV_DONTNEED for
/// many. A write to one is a fault, which the pager answers before the page counts as changed; the decision to drop a page is
/// the same thread's, so neither can come between the other's halves.
/// </summary>
internal sealed unsafe partial class PagerCore
{
    /// <summary>Pages one write fault unprotects at most, in the course of a stream of writes.</summary>
    private const int UnprotectPagesMax = 64;

    private const ulong ClearCookie = 1UL << 34;

    /// <summary>Clears in flight, in order; as many as the ring has commands.</summary>
    private readonly (PageId First, int Pages)[] _clears = new (PageId, int)[512];
    private int _clearHead;
    private int _clearCount;

    /// <summary>Where the last write fault stopped unprotecting, and how far it went.</summary>
    private PageId _writtenNext;
    private int _writtenRun;

    private bool CanClear => _program.CanProtect && _program.FreeCommands > 0 && _clearCount < _clears.Length;

    /// <summary>How a page comes into the program: protected unless a write waits for it.</summary>
    private CopyMode ModeFor(bool isWrite) => isWrite || !_program.CanProtect ? CopyMode.None : CopyMode.WriteProtect;

    /// <summary>
    /// The first write to a protected page. A write where the last one ended is a stream of writes: it unprotects ahead,
    /// twice as far each time, so that a program that writes as it goes has a fault every 64 pages.
    /// </summary>
    private void AllowWrites(PageId id)
    {
        Segment segment = _segments[id.Segment];
        long distance = _writtenNext.IsNone || _writtenNext.Segment != id.Segment ? long.MaxValue : id.Page - _writtenNext.Page;
        _writtenRun = distance is >= 0 and < 4 ? Math.Min(_writtenRun * 2, UnprotectPagesMax) : 1;
        int run = 0;
        while (run < _writtenRun && id.Page + run < segment.OpenPages)
        {
            ref PageEntry entry = ref segment.Entries[id.Page + run];
            if (run > 0 && (entry.State != PageState.Resident || !entry.IsProtected))
            {
                break;
            }

            entry.IsProtected = false;
            run++;
        }

        Counters.WriteFaults++;
        _writtenNext = new PageId(id.Segment, id.Page + run);
        NoteProgramError(_program.Unprotect(AddressOf(id), run));
    }

    /// <summary>Orders an unchanged page dropped, with the next ones of <see cref="_victims"/> that adjoin it; returns how many.</summary>
    private int ClearRun(int start, int count)
    {
        int run = 0;
        PageId first = _victims[start];
        while (start + run < count && _victims[start + run].Order == first.Order + (ulong)run)
        {
            ref PageEntry entry = ref Entry(_victims[start + run]);
            if (!entry.IsProtected)
            {
                break;
            }

            entry.Apply(PageEvent.ClearStart);
            run++;
        }

        _clears[(_clearHead + _clearCount++) % _clears.Length] = (first, run);
        _program.PostDrop(AddressOf(first), run, ClearCookie);
        _departing += run;
        return run;
    }

    private void FinishClear(in EvictorCompletion completion)
    {
        (PageId first, int pages) = _clears[_clearHead];
        _clearHead = (_clearHead + 1) % _clears.Length;
        _clearCount--;
        int cleared = (int)Math.Min(completion.Pages, (uint)pages);
        NoteRefused(cleared, pages, completion.Status);
        for (int i = 0; i < pages; i++)
        {
            var id = new PageId(first.Segment, first.Page + i);
            ref PageEntry entry = ref Entry(id);
            if (i < cleared)
            {
                entry.Apply(PageEvent.ClearDone);
                entry.IsProtected = false;
            }
            else
            {
                entry.Apply(PageEvent.ClearBusy);
                _queue.Push(id, ref entry);
            }
        }

        _departing -= pages;
        _occupied -= cleared;
        _inProgram -= cleared;
        Counters.RemotePages += cleared;
        Counters.PagesDropped += cleared;
        for (int i = 0; i < pages; i++)
        {
            var id = new PageId(first.Segment, first.Page + i);
            ref PageEntry entry = ref Entry(id);
            if (entry.IsWaiting)
            {
                entry.IsWaiting = false;
                HandleFault(id, i < cleared ? FaultKind.Write : FaultKind.WriteProtected, 0, 0);
            }
        }
    }
}
