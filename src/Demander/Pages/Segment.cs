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
    private readonly TouchedPages _touched = new();
    private SegmentIdentity _identity;
    private nuint _mapped;

    private Segment(int number, ulong address, PageTableFile? file) => (Number, Address, _file) = (number, address, file);

    /// <summary>Index in the session's segment list; part of every <see cref="PageId"/>.</summary>
    public int Number { get; }

    public ulong Address { get; }

    public long Pages { get; private set; }

    /// <summary>
    /// Pages that may still be used; fewer than <see cref="Pages"/> while the end (or all) of the segment is given back, or the program does not have the end yet. Faults
    /// beyond are left unanswered: the program wakes them when it unregisters the range.
    /// </summary>
    public long OpenPages { get; set; }

    public ulong End => Address + ((ulong)Pages << PageSize.Shift);

    public PageEntry* Entries { get; private set; }

    /// <summary>Per page the hash of the version in its slot; meaningless where there is no slot.</summary>
    public ulong* Hashes { get; private set; }

    public SegmentAdvice Advice { get; set; }

    /// <summary>Its name among all segments anywhere, and whether its length is being changed from outside.</summary>
    public SegmentIdentity Identity
    {
        get => _identity;
        set
        {
            _identity = value;
            if (_file is not null)
            {
                _file.Identities[Number] = value;
            }
        }
    }

    /// <summary>
    /// Makes the tables of a segment, in <paramref name="file"/> where one is given, else in private memory. Throws <see cref="InsufficientMemoryException"/>.
    /// </summary>
    public static Segment Create(int number, ulong address, long pages, PageTableFile? file = null, in SegmentIdentity identity = default)
    {
        var segment = new Segment(number, address, file) { _identity = identity };
        try
        {
            segment.Resize(pages);
        }
        catch
        {
            segment._touched.Dispose();
            throw;
        }

        segment.Identity = identity.Id == Guid.Empty ? identity with { Id = Guid.NewGuid() } : identity;
        return segment;
    }

    /// <summary>The entry of a page is about to be other than blank.</summary>
    public void Touch(long page) => _touched.Add(page);

    public bool IsTouched(long page) => _touched.Has(page);

    /// <summary>The first page from <paramref name="page"/> on whose entry may be other than blank; <paramref name="end"/> when there is none before it.</summary>
    public long NextTouched(long page, long end) => _touched.Next(page, end);

    /// <summary>Changes the length. Entries beyond a smaller length must be untouched already; in private memory they take none afterwards.</summary>
    public void Resize(long pages)
    {
        _touched.EnsureCapacity(pages);
        if (_file is not null)
        {
            PageTables tables = _file.Place(Number, Address, pages, _identity.ReservePages, _touched);
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

        if (pages < Pages)
        {
            GiveBack(pages);
        }

        Pages = pages;
        OpenPages = pages;
    }

    public void Dispose()
    {
        _file?.Forget(Number, _touched);
        Unmap();
        _touched.Dispose();
        Entries = null;
        Hashes = null;
    }

    private void GiveBack(long pages)
    {
        nuint from = (((nuint)pages * sizeof(ulong)) + PageSize.Bytes - 1) & ~(nuint)(PageSize.Bytes - 1);
        if (_mapped > from)
        {
            GiveBack((byte*)Entries + from, _mapped - from);
            GiveBack((byte*)Hashes + from, _mapped - from);
        }

        _touched.Clear(pages, Pages);
    }

    private static void GiveBack(byte* memory, nuint bytes)
    {
        // The pager's memory is locked, and kernels before 5.18 do not drop what is.
        if (Libc.Advise(memory, bytes, Libc.MADV_DONTNEED_LOCKED) != 0)
        {
            _ = Libc.Advise(memory, bytes, Libc.MADV_DONTNEED);
        }
    }

    private void Reserve(nuint bytes)
    {
        bytes = (bytes + PageSize.Bytes - 1) & ~(nuint)(PageSize.Bytes - 1);
        if (bytes <= _mapped)
        {
            return;
        }

        // Moved, not copied: a copy would give memory to entries of pages that were never touched.
        byte* entries = _mapped == 0 ? NativeMemoryMap.Reserve(bytes) : NativeMemoryMap.Grow(Entries, _mapped, bytes);
        try
        {
            Hashes = (ulong*)(_mapped == 0 ? NativeMemoryMap.Reserve(bytes) : NativeMemoryMap.Grow(Hashes, _mapped, bytes));
        }
        catch (InsufficientMemoryException)
        {
            // What was longer is as long as the other again.
            Entries = (PageEntry*)entries;
            _ = Libc.Unmap(entries + _mapped, bytes - _mapped);
            throw;
        }

        Entries = (PageEntry*)entries;
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
