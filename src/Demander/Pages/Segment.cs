using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Pages;

/// <summary>Access hints of a whole segment or of a part of it that the program gave.</summary>
internal enum SegmentAdvice : byte
{
    Normal = 0,
    Random = 1,
    Sequential = 2,
}

/// <summary>
/// A range of program addresses with its page table: 8 bytes of entry and 8 bytes of hash a page, both sparse. They are in a file that outlives
/// the pager, where there is one.
/// </summary>
internal sealed unsafe class Segment : IDisposable
{
    private readonly PageTableFile? _file;
    private nuint _mapped;

    private Segment(int number, ulong address, PageTableFile? file) => (Number, Address, _file) = (number, address, file);

    /// <summary>Index in the session's segment list; part of every <see cref="PageId"/>.</summary>
    public int Number { get; }

    public ulong Address { get; }

    public long Pages { get; private set; }

    /// <summary>
    /// Pages that may still be used; fewer than <see cref="Pages"/> while the end (or all) of the segment is given back. Faults
    /// beyond are left unanswered: the program wakes them when it unregisters the range.
    /// </summary>
    public long OpenPages { get; set; }

    public ulong End => Address + ((ulong)Pages << PageSize.Shift);

    public PageEntry* Entries { get; private set; }

    /// <summary>Per page the hash of the version in its slot; meaningless where there is no slot.</summary>
    public ulong* Hashes { get; private set; }

    public SegmentAdvice Advice { get; set; }

    /// <summary>
    /// Makes the tables of a segment, in <paramref name="file"/> where one is given, else in private memory. Throws <see cref="InsufficientMemoryException"/>.
    /// </summary>
    public static Segment Create(int number, ulong address, long pages, PageTableFile? file = null)
    {
        var segment = new Segment(number, address, file);
        segment.Resize(pages);
        return segment;
    }

    /// <summary>Changes the length. Entries beyond a smaller length stay mapped and must be untouched already.</summary>
    public void Resize(long pages)
    {
        if (_file is not null)
        {
            PageTables tables = _file.Place(Number, Address, pages);
            if (tables.Entries == null)
            {
                throw new InsufficientMemoryException("no more place for page tables");
            }

            Entries = tables.Entries;
            Hashes = tables.Hashes;
        }
        else
        {
            Reserve((nuint)pages * sizeof(ulong));
        }

        Pages = pages;
        OpenPages = pages;
    }

    public void Dispose()
    {
        _file?.Forget(Number);
        Unmap();
        Entries = null;
        Hashes = null;
    }

    private void Reserve(nuint bytes)
    {
        if (bytes <= _mapped)
        {
            return;
        }

        var entries = (PageEntry*)NativeMemoryMap.Reserve(bytes);
        var hashes = (ulong*)NativeMemoryMap.Reserve(bytes);
        if (_mapped != 0)
        {
            Buffer.MemoryCopy(Entries, entries, bytes, _mapped);
            Buffer.MemoryCopy(Hashes, hashes, bytes, _mapped);
            Unmap();
        }

        Entries = entries;
        Hashes = hashes;
        _mapped = bytes;
    }

    private void Unmap()
    {
        if (_mapped != 0)
        {
            _ = Libc.Unmap(Entries, _mapped);
            _ = Libc.Unmap(Hashes, _mapped);
            _mapped = 0;
        }
    }
}
