using Hecatonchire.Interop;
using Hecatonchire.Pager;
using Hecatonchire.Pages;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Tests.Program;

namespace Hecatonchire.Tests.Simulations;

/// <summary>
/// Segments are grown and shrunk from outside while threads use every page of them, those that go too: until the very moment at which a page goes, it has what was written
/// to it, and from then on a touch is SIGSEGV. A page that comes back is zero.
/// </summary>
internal sealed partial class Simulation
{
    private readonly Random _outside;

    /// <summary>How often a segment grew, shrank where nothing was lost, shrank with what was in it; and was as it was, for it was in use or the program in a call.</summary>
    public long Grown { get; private set; }

    public long Shrunk { get; private set; }

    public long Dropped { get; private set; }

    public long InUse { get; private set; }

    public long Busy { get; private set; }

    /// <summary>Touches of pages that had gone.</summary>
    public long Beyond { get; private set; }

    /// <summary>Pagers that died while they changed a segment from outside.</summary>
    public long DeathsOutside { get; private set; }

    private void AskFromOutside()
    {
        SimulatedSegment segment = _segments[_outside.Next(_segments.Count)];
        int before = segment.Pages, pages = _outside.Next(3) == 0 ? Math.Max(1, before - _outside.Next(1, 40)) : _outside.Next(1, before * 2);
        for (int page = segment.First + before; page < segment.First + pages; page++)
        {
            if (page >= _memory.Pages || _memory[page] != KernelPage.Unmapped)
            {
                return;
            }
        }

        bool mayDrop = _outside.Next(2) == 0;
        EnsureSlots(Math.Max(0, pages - before));
        Post(
            new PagerRequest(PagerRequestKind.ResizeFromOutside) { Identity = new SegmentIdentity { Id = segment.Id }, Pages = pages, MayDrop = mayDrop },
            request =>
            {
                int expected = request.Status == 0 ? pages : before;
                if (segment.Pages != expected || request.Status is not (0 or -Errno.EAGAIN or -Errno.ENOTEMPTY) || (request.Status == -Errno.ENOTEMPTY && (mayDrop || pages >= before)))
                {
                    throw new SimulationException($"from {before} pages to {pages}, dropping {mayDrop}: status {request.Status}, the program has {segment.Pages}");
                }

                (Busy, InUse) = (Busy + (request.Status == -Errno.EAGAIN ? 1 : 0), InUse + (request.Status == -Errno.ENOTEMPTY ? 1 : 0));
                if (request.Status == 0)
                {
                    (Grown, Shrunk, Dropped) = (Grown + (pages > before ? 1 : 0), Shrunk + (pages < before && !mayDrop ? 1 : 0), Dropped + (pages < before && mayDrop ? 1 : 0));
                }

                EndOutside();
            });
    }

    /// <summary>In the moment at which the program's evictor has done it.</summary>
    private void NoteResized(int first, int pages)
    {
        SimulatedSegment segment = _segments.Find(segment => segment.First == first)!;
        for (int page = first + Math.Min(pages, segment.Pages); page < first + Math.Max(pages, segment.Pages); page++)
        {
            _model.Forget(page);
        }

        (segment.Pages, segment.Usable) = (pages, pages);
    }

    private void EndOutside()
    {
        _reservedPages = _segments.Sum(segment => (long)segment.Pages);
        ReturnIdleSlabs();
    }

    /// <summary>The pager that was to do it is dead; whether it was done, the next one knows.</summary>
    private void EndOutsideByDeath()
    {
        if (_current is not { Kind: PagerRequestKind.ResizeFromOutside } lost)
        {
            return;
        }

        DeathsOutside++;
        _current = null;
        lost.Dispose();
        foreach (SimulatedSegment segment in _segments)
        {
            Segment? known = _core.Segments.Find(SimulatedProgramMemory.AddressOf(segment.First));
            if (known?.Pages != segment.Pages || known.OpenPages != segment.Pages || known.Identity.Id != segment.Id)
            {
                throw new SimulationException($"the program has {segment.Pages} pages, the pager that goes on {known?.Pages}, {known?.OpenPages} of them open");
            }
        }

        EndOutside();
    }

    private void CheckBeyond(int page)
    {
        Beyond++;
        if (_segments.Exists(segment => page >= segment.First && page < segment.First + segment.Pages))
        {
            throw new SimulationException($"SIGSEGV at page {page}, which is in a segment");
        }
    }
}
