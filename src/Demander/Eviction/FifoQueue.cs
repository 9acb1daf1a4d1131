using Hecatonchire.Interop;
using Hecatonchire.Pages;

namespace Hecatonchire.Eviction;

/// <summary>
/// Resident pages in the order they were filled; the oldest leaves first. Each page is in it at most once
/// (<see cref="PageEntry.IsQueued"/>); entries whose page has gone by another way are skipped when they come up. 8 bytes
/// per entry, native memory, grown only by <see cref="EnsureCapacity"/>, which is not on the fault path.
/// </summary>
internal sealed unsafe class FifoQueue(SegmentTable segments) : IDisposable
{
    private PageId* _ring;
    private long _capacity;
    private long _head;
    private long _tail;

    public long Count => _tail - _head;

    /// <summary>Makes room for <paramref name="resident"/> pages of <paramref name="all"/>; not on the fault path.</summary>
    public void EnsureCapacity(long resident, long all)
    {
        // A quarter more than can be resident: room for entries that have gone stale before a sweep is due. Never more than
        // there are pages, since each is in the queue at most once.
        long capacity = Math.Max(1, Math.Min(all, resident + (resident / 4) + 4096));
        if (capacity <= _capacity)
        {
            return;
        }

        var ring = (PageId*)NativeMemoryMap.Reserve((nuint)capacity * sizeof(ulong));
        long count = 0;
        for (long i = _head; i < _tail; i++)
        {
            ring[count++] = _ring[i % _capacity];
        }

        Dispose();
        _ring = ring;
        (_capacity, _head, _tail) = (capacity, 0, count);
    }

    public void Push(PageId id, ref PageEntry entry)
    {
        if (entry.IsQueued)
        {
            return;
        }

        if (_tail - _head == _capacity)
        {
            Sweep();
        }

        entry.IsQueued = true;
        _ring[_tail++ % _capacity] = id;
    }

    /// <summary>The oldest resident page; false when there is none.</summary>
    public bool TryPop(out PageId id)
    {
        while (_head < _tail)
        {
            id = _ring[_head++ % _capacity];
            if (Claim(id))
            {
                return true;
            }
        }

        id = default;
        return false;
    }

    /// <summary>Takes the entries of a segment that is about to be removed out of the queue.</summary>
    public void Forget(int segment) => Compact(segment);

    /// <summary>Drops the entries whose page is not resident any more.</summary>
    public void Sweep() => Compact(-1);

    public void Dispose()
    {
        if (_capacity != 0)
        {
            _ = Libc.Unmap(_ring, (nuint)_capacity * sizeof(ulong));
            _capacity = 0;
        }
    }

    private bool Claim(PageId id)
    {
        Segment segment = segments[id.Segment];
        if (id.Page >= segment.Pages)
        {
            return false;
        }

        ref PageEntry entry = ref segment.Entries[id.Page];
        entry.IsQueued = false;
        return entry.State == PageState.Resident;
    }

    private void Compact(int forgotten)
    {
        long kept = _head;
        for (long i = _head; i < _tail; i++)
        {
            PageId id = _ring[i % _capacity];
            Segment segment = segments[id.Segment];
            ref PageEntry entry = ref segment.Entries[id.Page];
            if (id.Segment != forgotten && entry.State == PageState.Resident)
            {
                _ring[kept++ % _capacity] = id;
            }
            else
            {
                entry.IsQueued = false;
            }
        }

        _tail = kept;
    }
}
