using Hecatonchire.Pages;

namespace Hecatonchire.Eviction;

/// <summary>
/// First-in-first-out, but pages that prefetch brought along leave before those that a thread asked for, once the stream has
/// passed them: they have a queue of their own, and of that the newest few windows stay, which the program is about to touch or touches
/// now. So a scan keeps to a few windows of memory as long as there is anything else, whether that is still of use or not. 8 bytes per page
/// that may be resident.
/// </summary>
internal sealed unsafe class BehindStreamEviction(SegmentTable segments) : EvictionPolicy(segments, queues: 2)
{
    private const int Stream = 0;
    private const int Main = 1;

    /// <summary>Eight of the largest windows: the one being read and the next, for each of four streams.</summary>
    private const long PagesKeptMax = 1024;

    /// <summary>How many stream pages stay when so many pages are resident. Windows are smaller where less may be resident.</summary>
    public static long PagesKept(long resident) => Math.Min(PagesKeptMax, resident / 2);

    public override bool TryPop(out PageId id)
    {
        long kept = IsRefused ? 0 : PagesKept(Count);
        return (CountOf(Stream) > kept && Take(Stream, out id) != null) || Take(Main, out id) != null || Take(Stream, out id) != null;
    }

    protected override int QueueFor(ref PageEntry entry, PageArrival arrival) => arrival == PageArrival.Prefetch ? Stream : Main;
}
