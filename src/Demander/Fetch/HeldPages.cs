using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Units;

namespace Hecatonchire.Fetch;

/// <summary>
/// Buffers of marker pages that were fetched and wait, outside the program, to be touched. A ring: the oldest makes place,
/// which loses nothing, since its slot still holds the page.
/// </summary>
internal sealed unsafe class HeldPages : IDisposable
{
    /// <summary>Markers held at once (1 MiB): several windows for each of the streams that are followed.</summary>
    public const int Capacity = 256;

    private readonly PageId[] _pages = new PageId[Capacity];
    private readonly int[] _streams = new int[Capacity];
    private readonly byte* _memory = NativeMemoryMap.Populate(Capacity << PageSize.Shift);
    private int _next;

    public int Stream(int index) => _streams[index];

    public byte* Buffer(int index) => _memory + ((nint)index << PageSize.Shift);

    /// <summary>The place that is taken next, and the page in it now (none when it is free).</summary>
    public int Oldest(out PageId occupant)
    {
        occupant = _pages[_next];
        return _next;
    }

    /// <summary>Copies a page into the oldest place, which the caller has emptied. Returns its index.</summary>
    public int Hold(PageId page, int stream, byte* data)
    {
        int index = _next;
        _next = (_next + 1) % Capacity;
        System.Buffer.MemoryCopy(data, Buffer(index), PageSize.Bytes, PageSize.Bytes);
        _pages[index] = page;
        _streams[index] = stream;
        return index;
    }

    public void Free(int index) => _pages[index] = default;

    public void Dispose() => _ = Libc.Unmap(_memory, Capacity << PageSize.Shift);
}
