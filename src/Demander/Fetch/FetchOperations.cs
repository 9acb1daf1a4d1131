using Hecatonchire.Eviction;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Units;

namespace Hecatonchire.Fetch;

/// <summary>One READ in flight: a run of pages that is contiguous in the segment, in the slots and in its buffer.</summary>
internal unsafe struct FetchOperation
{
    public PageId First;
    public int Pages;
    public byte* Buffer;

    /// <summary>True for the page a thread faulted on; false for a prefetch.</summary>
    public bool IsDemand;

    /// <summary>True when a thread that waits for one of its pages writes.</summary>
    public bool IsWrite;

    /// <summary>True when its first page is the marker of a prefetch window.</summary>
    public bool HasMarker;

    /// <summary>The prefetch stream, -1 for a demand.</summary>
    public int Stream;

    /// <summary>What the eviction policy is told of its pages.</summary>
    public PageArrival Arrival;

    /// <summary>When the (first) thread that waits for it faulted; 0 while none does.</summary>
    public long FaultedAt;

    public int Next;
}

/// <summary>
/// The fetches in flight and their buffers: <see cref="Singles"/> of one page, <see cref="Runs"/> of
/// <see cref="RunPages"/>, all populated at the start, so that a fault under memory pressure allocates nothing.
/// </summary>
internal sealed unsafe class FetchOperations : IDisposable
{
    /// <summary>One page each: bounds the demand fetches in flight (1 MiB).</summary>
    public const int Singles = 256;

    /// <summary>Runs in flight: two windows of 128 pages for each of several streams (8 MiB).</summary>
    public const int Runs = 32;

    public const int RunPages = 64;

    /// <summary>Single buffers that prefetch must leave to demand fetches.</summary>
    private const int SinglesKept = 128;

    private readonly FetchOperation[] _operations = GC.AllocateArray<FetchOperation>(Singles + Runs, pinned: true);
    private readonly byte* _memory;
    private readonly nuint _bytes;
    private int _freeSingle;
    private int _freeRun;
    private int _freeSingles;

    public FetchOperations()
    {
        _bytes = (nuint)(Singles + (Runs * RunPages)) << PageSize.Shift;
        _memory = NativeMemoryMap.Populate(_bytes);
        for (int i = 0; i < _operations.Length; i++)
        {
            int firstPage = i < Singles ? i : Singles + ((i - Singles) * RunPages);
            _operations[i].Buffer = _memory + ((nint)firstPage << PageSize.Shift);
            _operations[i].Next = i + 1;
        }

        _operations[Singles - 1].Next = -1;
        _operations[^1].Next = -1;
        (_freeSingle, _freeRun, _freeSingles) = (0, Singles, Singles);
    }

    /// <summary>All buffers, in one piece.</summary>
    public byte* Memory => _memory;

    public nuint Bytes => _bytes;

    public int InFlight { get; private set; }

    public ref FetchOperation this[int index] => ref _operations[index];

    /// <summary>Takes an operation with a buffer for <paramref name="pages"/>; -1 when none is free.</summary>
    public int Acquire(int pages, bool isDemand)
    {
        ref int head = ref pages == 1 ? ref _freeSingle : ref _freeRun;
        if (head < 0 || (pages == 1 && !isDemand && _freeSingles <= SinglesKept))
        {
            return -1;
        }

        int index = head;
        head = _operations[index].Next;
        _freeSingles -= index < Singles ? 1 : 0;
        InFlight++;
        return index;
    }

    public void Release(int index)
    {
        ref int head = ref index < Singles ? ref _freeSingle : ref _freeRun;
        _operations[index].Next = head;
        head = index;
        _freeSingles += index < Singles ? 1 : 0;
        InFlight--;
    }

    public void Dispose() => _ = Libc.Unmap(_memory, _bytes);
}
