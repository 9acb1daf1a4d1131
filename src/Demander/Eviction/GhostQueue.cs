using Hecatonchire.Pages;

namespace Hecatonchire.Eviction;

/// <summary>
/// The pages that were evicted last: one that is fetched again while it is here was evicted too early. Membership is a bit in the page's
/// entry (<see cref="PageEntry.IsGhost"/>), so asking costs nothing; the queue, 8 bytes per ghost, only says whose bit goes next. A page
/// that is evicted a second time within the queue's length is forgotten with its first entry.
/// </summary>
internal sealed unsafe class GhostQueue(SegmentTable segments) : IDisposable
{
    private readonly PageQueues _queue = new(1);
    private long _capacity;

    public long MemoryBytes => _queue.MemoryBytes;

    /// <summary>
    /// As many ghosts as pages may be in a main queue (S3-FIFO's length), but at most one for every second page that is elsewhere and an
    /// eighth of all: so the page table with its queues stays below 0.6 % of the memory at any ratio.
    /// </summary>
    public void EnsureCapacity(long resident, long all)
    {
        long capacity = Math.Min(Math.Min(resident - (resident / 10), (all - resident) / 2), all / 8);
        if (capacity > _capacity)
        {
            _queue.Grow(capacity);
            _capacity = capacity;
        }
    }

    /// <summary>A page is evicted.</summary>
    public void Add(PageId id, ref PageEntry entry)
    {
        if (_capacity == 0)
        {
            return;
        }

        if (_queue.Count(0) == _capacity && _queue.TryTake(0, out PageId oldest))
        {
            Segment segment = segments[oldest.Segment];
            if (oldest.Page < segment.Pages)
            {
                segment.Entries[oldest.Page].IsGhost = false;
            }
        }

        entry.IsGhost = true;
        _queue.Append(0, id);
    }

    /// <summary>Drops the ghosts of a segment that is about to be removed, those that came back, and those that were given up.</summary>
    public void Compact(int forgotten)
    {
        for (long left = _queue.Count(0); left > 0; left--)
        {
            _ = _queue.TryTake(0, out PageId id);
            ref PageEntry entry = ref segments[id.Segment].Entries[id.Page];
            entry.IsGhost &= id.Segment != forgotten && entry.State != PageState.Untouched;
            if (entry.IsGhost)
            {
                _queue.Append(0, id);
            }
        }
    }

    public void Dispose() => _queue.Dispose();
}
