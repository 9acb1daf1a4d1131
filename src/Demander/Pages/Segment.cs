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
/// A range of program addresses with its page table: 8 bytes of entry and 8 bytes of hash a page, both sparse. The
/// entries live in a memfd that the program holds open too, so that they outlive the pager.
/// </summary>
internal sealed unsafe class Segment : IDisposable
{
    private readonly nuint _bytesOf = sizeof(ulong);
    private nuint _mapped;

    private Segment(int number, ulong address, int tableDescriptor)
    {
        Number = number;
        Address = address;
        TableDescriptor = tableDescriptor;
    }

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

    /// <summary>The memfd of the page table; -1 when the table is private memory (simulation).</summary>
    public int TableDescriptor { get; private set; }

    public PageEntry* Entries { get; private set; }

    /// <summary>Per page the hash of the version in its slot; meaningless where there is no slot.</summary>
    public ulong* Hashes { get; private set; }

    public SegmentAdvice Advice { get; set; }

    /// <summary>Makes the tables of a segment. Throws <see cref="InvalidOperationException"/> with the errno when the kernel refuses.</summary>
    public static Segment Create(int number, ulong address, long pages, bool inMemoryFile)
    {
        int descriptor = -1;
        if (inMemoryFile)
        {
            descriptor = Libc.MemoryFile("heca-page-table", Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING);
            if (descriptor < 0)
            {
                throw new InvalidOperationException($"page table: memfd_create: {Errno.Describe(Libc.Errno)}");
            }
        }

        var segment = new Segment(number, address, descriptor);
        try
        {
            segment.Resize(pages);
            if (descriptor >= 0)
            {
                // The program holds this file too: were it cut short, the pager's next look at an entry would be a SIGBUS.
                _ = Libc.Fcntl(descriptor, Libc.F_ADD_SEALS, Libc.F_SEAL_SHRINK);
            }
        }
        catch
        {
            segment.Dispose();
            throw;
        }

        return segment;
    }

    /// <summary>Changes the length. Entries beyond a smaller length stay mapped and must be untouched already.</summary>
    public void Resize(long pages)
    {
        nuint bytes = (nuint)pages * _bytesOf;
        if (bytes > _mapped)
        {
            if (TableDescriptor >= 0 && Libc.Truncate(TableDescriptor, (long)bytes) != 0)
            {
                throw new InvalidOperationException($"page table: ftruncate: {Errno.Describe(Libc.Errno)}");
            }

            var hashes = (ulong*)NativeMemoryMap.Reserve(bytes);
            PageEntry* entries = TableDescriptor >= 0
                ? (PageEntry*)NativeMemoryMap.Share(TableDescriptor, bytes)
                : (PageEntry*)NativeMemoryMap.Reserve(bytes);
            if (_mapped != 0)
            {
                Buffer.MemoryCopy(Hashes, hashes, bytes, _mapped);
                if (TableDescriptor < 0)
                {
                    Buffer.MemoryCopy(Entries, entries, bytes, _mapped);
                }

                Unmap();
            }

            Entries = entries;
            Hashes = hashes;
            _mapped = bytes;
        }

        Pages = pages;
        OpenPages = pages;
    }

    public void Dispose()
    {
        Unmap();
        if (TableDescriptor >= 0)
        {
            _ = Libc.Close(TableDescriptor);
            TableDescriptor = -1;
        }
    }

    private void Unmap()
    {
        if (_mapped != 0)
        {
            _ = Libc.Unmap(Entries, _mapped);
            _ = Libc.Unmap(Hashes, _mapped);
            Entries = null;
            Hashes = null;
            _mapped = 0;
        }
    }
}
