using Hecatonchire.Eviction;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Pager;

/// <summary>
/// Pages that are known to be unchanged: installed write-protected, they leave without being looked at, by one MADV_DONTNEED for
/// many. A write to one is a fault, which the pager answers before the page counts as changed; the decision to drop a page is
/// the same thread's, so neither can come between the other's halves.
/// </summary>
internal sealed unsafe partial class PagerCore
{
    private const ulong ClearCookie = 1UL << 34;

    /// <summary>Clears in flight, in order; as many as the ring has commands.</summary>
    private readonly (PageId First, int Pages)[] _clears = new (PageId, int)[512];
    private int _clearHead;
    private int _clearCount;

    private readonly WriteForecast _forecast = new();

    private bool CanClear => _program.CanProtect && _program.FreeCommands > 0 && _clearCount < _clears.Length;

    /// <summary>How a page comes into the program: protected unless a write waits for it.</summary>
    private CopyMode ModeFor(bool isWrite, int pages) =>
        !isWrite && _program.CanProtect && DirtyTracking == DirtyTracking.Protect && _forecast.Protects(pages) ? CopyMode.WriteProtect : CopyMode.None;

    /// <summary>The first write to a protected page, and as much of a stream of writes as is foreseen.</summary>
    private void AllowWrites(PageId id)
    {
        Segment segment = _segments[id.Segment];
        int most = _forecast.OnWriteFault(id, out int stream);
        int step = Math.Sign(most), run = 0;
        for (; run < Math.Abs(most); run++)
        {
            long page = id.Page + (run * step);
            if (page < 0 || page >= segment.OpenPages || segment.Entries[page].State != PageState.Resident || !segment.Entries[page].IsProtected)
            {
                break;
            }

            segment.Entries[page].IsProtected = false;
            NoteWritable(new PageId(id.Segment, page), ref segment.Entries[page]);
        }

        var other = new PageId(id.Segment, id.Page + ((run - 1) * step));
        (PageId first, PageId last) = step > 0 ? (id, other) : (other, id);
        _forecast.LetThrough(stream, first, last);
        Counters.WriteFaults++;
        NoteProgramError(_program.Unprotect(AddressOf(first), run));
    }

    /// <summary>True when what a resident page holds can be had from its slot.</summary>
    private bool IsInItsSlot(in PageEntry entry) => entry.IsProtected && !_slots.IsClosed(entry.Slot);

    /// <summary>Orders an unchanged page dropped, with the next ones of <see cref="_victims"/> that adjoin it; returns how many.</summary>
    private int ClearRun(int start, int count)
    {
        int run = 0;
        PageId first = _victims[start];
        while (start + run < count && _victims[start + run].Order == first.Order + (ulong)run)
        {
            ref PageEntry entry = ref Entry(_victims[start + run]);
            if (!IsInItsSlot(in entry))
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
                Admit(id, ref entry, PageArrival.Returned);
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
