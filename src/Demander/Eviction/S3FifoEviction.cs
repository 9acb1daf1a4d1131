using Hecatonchire.Pages;

namespace Hecatonchire.Eviction;

/// <summary>
/// S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP'23) of what a pager can see. In the original, new pages
/// come into a small queue, and those touched there go on to the main one. Here no touch of a resident page is seen, so a page
/// proves itself by coming back: fetched on demand while it is a ghost, or recalled from staging. It differs in three more ways:
/// - Victims of the main queue become ghosts too: else a page in steady use would have to prove itself twice each time. One that
///   comes back from there is passed over once when it is the oldest again.
/// - Pages that prefetch brought along prove nothing, and would drive the others out of the small queue: they have one of their
///   own, of which a few windows stay (<see cref="BehindStreamEviction"/>).
/// - How much more than these stays is learned, as in ARC (Megiddo and Modha, FAST'03): a ghost that is prefetched again says that
///   streams have too little, one that is fetched on demand that they have too much. Else a program that has turned from one
///   way of working to another would keep the remains of the first.
/// 8 bytes per page that may be resident and 8 bytes per ghost.
/// </summary>
internal sealed unsafe class S3FifoEviction(SegmentTable segments) : EvictionPolicy(segments, queues: 3, hasGhosts: true)
{
    private const int Stream = 0;
    private const int Small = 1;
    private const int Main = 2;

    /// <summary>The small queue keeps one in so many of its own and the main queue's pages, these one in so many of all.</summary>
    private const int Share = 10;

    /// <summary>Pages the stream queue keeps beyond the few windows; between 0 and all.</summary>
    private long _streamPages;

    public override bool TryPop(out PageId id)
    {
        while (true)
        {
            int queue = QueueOfVictim();
            PageEntry* entry = Take(queue, out id);
            if (entry == null)
            {
                if (Count == 0)
                {
                    return false;
                }
            }
            else if (entry->IsMarked && !IsRefused)
            {
                entry->IsMarked = false;
                PutBack(Main, id, ref *entry);
            }
            else
            {
                // The mark of a ghost: it left from the main queue. Of a page in the main queue: it is passed over once.
                entry->IsMarked = queue == Main;
                AddGhost(id, ref *entry);
                return true;
            }
        }
    }

    protected override int QueueFor(ref PageEntry entry, PageArrival arrival)
    {
        bool wasGhost = entry.IsGhost;
        entry.IsGhost = false;
        if (arrival == PageArrival.Prefetch)
        {
            _streamPages = wasGhost ? Math.Min(_streamPages + 1, Count) : _streamPages;
            entry.IsMarked = false;
            return Stream;
        }

        bool isBack = wasGhost && arrival == PageArrival.Demand;
        _streamPages -= isBack && _streamPages > 0 ? 1 : 0;
        entry.IsMarked &= isBack;
        return isBack || arrival is PageArrival.Recall or PageArrival.Returned ? Main : Small;
    }

    private int QueueOfVictim()
    {
        long small = CountOf(Small), main = CountOf(Main);
        long kept = Math.Min(BehindStreamEviction.PagesKept(Count) + _streamPages, Count - (Count / Share));
        if (small + main == 0 || CountOf(Stream) > (IsRefused ? 0 : kept))
        {
            return Stream;
        }

        return small > 0 && (IsRefused || small > (small + main) / Share || main == 0) ? Small : Main;
    }
}
