using System.Runtime.CompilerServices;
using Hecatonchire.Pages;

namespace Hecatonchire.Eviction;

/// <summary>
/// Decides which resident pages leave first. Called by the pager thread on its fault path: no allocation, tens of nanoseconds.
/// Every resident page is in exactly one queue of it (<see cref="PageEntry.IsQueued"/>); entries whose page has gone by another way are
/// skipped when they come up. 8 bytes per page that can be resident, in <see cref="PageQueues"/>, and two bits in the page's
/// entry; a policy with a <see cref="GhostQueue"/> has 8 more per ghost.
/// </summary>
internal abstract unsafe class EvictionPolicy(SegmentTable segments, int queues, bool hasGhosts = false) : IDisposable
{
    private readonly PageQueues _queues = new(queues);
    private readonly GhostQueue? _ghosts = hasGhosts ? new GhostQueue(segments) : null;

    /// <summary>Entries there may be in all queues.</summary>
    public long Capacity { get; private set; }

    /// <summary>Entries in all queues, those included whose page has gone.</summary>
    public long Count { get; private set; }

    /// <summary>Memory that the queues may take; what is not in use of it is not touched.</summary>
    public long MemoryBytes => _queues.MemoryBytes + (_ghosts?.MemoryBytes ?? 0);

    /// <summary>
    /// True from the return of a victim to the next page that really comes in. Were all pages refused, each must come up once before
    /// any comes up again: until then there are no shares to keep and no second chances.
    /// </summary>
    protected bool IsRefused { get; private set; }

    /// <summary>Makes room for <paramref name="resident"/> pages of <paramref name="all"/>; not on the fault path.</summary>
    public void EnsureCapacity(long resident, long all)
    {
        // An eighth more than can be resident: room for entries that have gone stale before a sweep is due. Never more than
        // there are pages, since each is in the queues at most once.
        long capacity = Math.Max(1, Math.Min(all, resident + (resident / 8) + 4096));
        if (capacity > Capacity)
        {
            _queues.Grow(capacity);
            Capacity = capacity;
        }

        _ghosts?.EnsureCapacity(resident, all);
    }

    /// <summary>A page has become resident.</summary>
    public void Push(PageId id, ref PageEntry entry, PageArrival arrival)
    {
        if (entry.IsQueued)
        {
            return;
        }

        IsRefused = arrival == PageArrival.Returned;
        if (Count == Capacity)
        {
            Sweep();
        }

        PutBack(QueueFor(ref entry, arrival), id, ref entry);
    }

    /// <summary>The page to evict next, in no queue any more; false when there is no resident page.</summary>
    public abstract bool TryPop(out PageId id);

    /// <summary>Takes the entries of a segment that is about to be removed out of the queues.</summary>
    public void Forget(int segment)
    {
        Compact(segment);
        _ghosts?.Compact(segment);
    }

    /// <summary>Drops the entries whose page is not resident any more.</summary>
    public void Sweep() => Forget(-1);

    public void Dispose()
    {
        _queues.Dispose();
        _ghosts?.Dispose();
    }

    /// <summary>Where a page that has come goes to. Also sets or clears the bits in its entry that are the policy's.</summary>
    protected abstract int QueueFor(ref PageEntry entry, PageArrival arrival);

    protected long CountOf(int queue) => _queues.Count(queue);

    /// <summary>Puts a page that was just taken into a queue after all.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected void PutBack(int queue, PageId id, ref PageEntry entry)
    {
        entry.IsQueued = true;
        _queues.Append(queue, id);
        Count++;
    }

    protected void AddGhost(PageId id, ref PageEntry entry) => _ghosts!.Add(id, ref entry);

    protected void Swap(int one, int other) => _queues.Swap(one, other);

    /// <summary>The entry of the oldest resident page of a queue, which it has left; null when there is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected PageEntry* Take(int queue, out PageId id)
    {
        while (_queues.TryTake(queue, out id))
        {
            Count--;
            Segment segment = segments[id.Segment];
            if (id.Page < segment.Pages)
            {
                PageEntry* entry = segment.Entries + id.Page;
                entry->IsQueued = false;
                if (entry->State == PageState.Resident)
                {
                    return entry;
                }
            }
        }

        return null;
    }

    private void Compact(int forgotten)
    {
        for (int queue = 0; queue < queues; queue++)
        {
            for (long left = _queues.Count(queue); left > 0; left--)
            {
                _ = _queues.TryTake(queue, out PageId id);
                ref PageEntry entry = ref segments[id.Segment].Entries[id.Page];
                entry.IsQueued = id.Segment != forgotten && entry.State == PageState.Resident;
                if (entry.IsQueued)
                {
                    _queues.Append(queue, id);
                }
                else
                {
                    Count--;
                }
            }
        }
    }
}
