using System.Runtime.CompilerServices;
using Hecatonchire.Interop;
using Hecatonchire.Pages;

namespace Hecatonchire.Eviction;

/// <summary>
/// Several first-in-first-out queues of pages over one native memory, in chunks of 4 KiB that go from queue to queue: 8 bytes per entry
/// of all queues together, however they are distributed, and only as much of it touched as is in use. Grown only by
/// <see cref="Grow"/>, which is not on the fault path.
/// </summary>
internal sealed unsafe class PageQueues(int queues) : IDisposable
{
    /// <summary>The last entry of a chunk is not a page but the place of the next chunk, of the same queue or in the free list.</summary>
    private const int ChunkEntries = 512;
    private const long LinkEntry = ChunkEntries - 1;
    private const long None = -1;

    private readonly Queue[] _queues = new Queue[queues];
    private PageId* _entries;
    private long _size;
    private long _free = None;
    private long _unused;

    private struct Queue
    {
        public long Head;
        public long Tail;
        public long Count;
    }

    public long MemoryBytes => _size * sizeof(ulong);

    public long Count(int queue) => _queues[queue].Count;

    /// <summary>Makes room for so many entries of all queues together; not on the fault path.</summary>
    public void Grow(long entries)
    {
        // Each queue may have a chunk that is full only at its end, and one that is full only at its beginning.
        long size = ((entries / LinkEntry) + (2 * _queues.Length) + 1) * ChunkEntries;
        if (size <= _size)
        {
            return;
        }

        var grown = (PageId*)NativeMemoryMap.Reserve((nuint)size * sizeof(ulong));
        bool isFirst = _size == 0;
        if (!isFirst)
        {
            Buffer.MemoryCopy(_entries, grown, size * sizeof(ulong), _unused * sizeof(ulong));
            _ = Libc.Unmap(_entries, (nuint)_size * sizeof(ulong));
        }

        _entries = grown;
        _size = size;
        for (int i = 0; isFirst && i < _queues.Length; i++)
        {
            _queues[i].Head = _queues[i].Tail = TakeChunk();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Append(int queue, PageId id)
    {
        ref Queue to = ref _queues[queue];
        _entries[to.Tail++] = id;
        to.Count++;
        if ((to.Tail & LinkEntry) == LinkEntry)
        {
            long next = TakeChunk();
            ((long*)_entries)[to.Tail] = next;
            to.Tail = next;
        }
    }

    /// <summary>The oldest entry of a queue; false when there is none.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryTake(int queue, out PageId id)
    {
        ref Queue from = ref _queues[queue];
        if (from.Count == 0)
        {
            id = default;
            return false;
        }

        id = _entries[from.Head++];
        from.Count--;
        if ((from.Head & LinkEntry) == LinkEntry)
        {
            long next = ((long*)_entries)[from.Head];
            ReturnChunk(from.Head - LinkEntry);
            from.Head = next;
        }

        return true;
    }

    public void Swap(int one, int other) => (_queues[one], _queues[other]) = (_queues[other], _queues[one]);

    public void Dispose()
    {
        if (_size != 0)
        {
            _ = Libc.Unmap(_entries, (nuint)_size * sizeof(ulong));
            _size = 0;
        }
    }

    private long TakeChunk()
    {
        long chunk = _free;
        if (chunk != None)
        {
            _free = ((long*)_entries)[chunk + LinkEntry];
            return chunk;
        }

        if (_unused == _size)
        {
            Environment.FailFast("eviction queues: more pages are queued than can be resident");
        }

        chunk = _unused;
        _unused += ChunkEntries;
        return chunk;
    }

    private void ReturnChunk(long chunk)
    {
        ((long*)_entries)[chunk + LinkEntry] = _free;
        _free = chunk;
    }
}
