using Hecatonchire.Pages;

namespace Hecatonchire.Eviction;

/// <summary>Pages leave in the order in which they came. 8 bytes per page that may be resident.</summary>
internal sealed unsafe class FifoEviction(SegmentTable segments) : EvictionPolicy(segments, queues: 1)
{
    public override bool TryPop(out PageId id) => Take(0, out id) != null;

    protected override int QueueFor(ref PageEntry entry, PageArrival arrival) => 0;
}
