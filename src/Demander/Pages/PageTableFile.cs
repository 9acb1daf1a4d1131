using Hecatonchire.Interop;

namespace Hecatonchire.Pages;

/// <summary>The entries of a segment's pages, and as many hashes.</summary>
internal unsafe struct PageTables
{
    public PageEntry* Entries;
    public ulong* Hashes;
}

/// <summary>
/// What must outlive a program's pager: the page tables, which slabs the slots are in, and whether something that the kernel has told is not carried out yet. A
/// memfd that the program holds too, readable only, so that another pager can go on from it. All of it is mapped at once, since no mapping that can be written
/// can be made any more once it is sealed against everybody else.
/// </summary>
internal sealed unsafe class PageTableFile : IDisposable
{
    /// <summary>Entries and hashes of 1 TiB of memory.</summary>
    private const long BytesMax = 4L << 30;

    private const ulong FileMagic = 0x3254_4147_4341_4548; // "HECAGAT2"
    /// <summary>As which the kernel lists it among a process's descriptors.</summary>
    public const string Name = "heca-page-tables";

    private const int SealFutureWrite = 0x10;
    private const int SponsorsOffset = 1024;
    private const int MessagesOffset = 4096;
    private const int SlabsOffset = 2 * 4096;
    private const int SegmentsOffset = SlabsOffset + (Placement.SlotMap.SlabsMax * 2 * sizeof(ulong));
    private const int ReplicasOffset = 512 << 10;
    private const int ReplicasPerStripe = 4;
    private const long TablesOffset = 1 << 20;

    /// <summary>Tables grow in these steps, and the file with them.</summary>
    private const long Alignment = 1 << 20;

    private readonly byte* _memory;
    private readonly long _bytes;
    private long _end = TablesOffset;
    private long _length = TablesOffset;

    private struct Head
    {
        public ulong Magic;
        public Guid Demander;
        public int ChangesPending;
        public long InheritedPages;
    }

    private struct ReplicaRecord
    {
        public ulong Slab;

        /// <summary>And one; 0: none.</summary>
        public ulong Sponsor;
    }

    private struct SegmentRecord
    {
        public ulong Address;
        public long Pages;
        public long Offset;
        public long Capacity;
    }

    private PageTableFile(int descriptor, byte* memory, long bytes)
    {
        Descriptor = descriptor;
        _memory = memory;
        _bytes = bytes;
    }

    public int Descriptor { get; private set; }

    /// <summary>As whom the pager borrows.</summary>
    public Guid Demander
    {
        get => Header->Demander;
        set => Header->Demander = value;
    }

    /// <summary>By its number, which run of a sponsor it is.</summary>
    public Guid* Sponsors => (Guid*)(_memory + SponsorsOffset);

    /// <summary>Where events of the kernel are read to: what is taken from its queue is here, whenever this process ends.</summary>
    public byte* Messages => _memory + MessagesOffset;

    /// <summary>Pairs of a stripe's number and its slots, by the index in slot numbers; 0 slots: none.</summary>
    public ulong* Slabs => (ulong*)(_memory + SlabsOffset);

    /// <summary>Where a stripe's contents are: sponsor and slab of each replica that has all of them. Throws <see cref="InvalidDataException"/>.</summary>
    public IReadOnlyList<(int Sponsor, ulong Slab)> ReplicasOf(ulong stripe)
    {
        if (stripe >= Placement.SlotMap.SlabsMax)
        {
            throw new InvalidDataException("the page tables are damaged");
        }

        var found = new List<(int, ulong)>();
        for (int i = 0; i < ReplicasPerStripe; i++)
        {
            ReplicaRecord record = Replicas[(stripe * ReplicasPerStripe) + (ulong)i];
            if (record.Sponsor is > 0 and <= Transport.Striped.SponsorSet.SponsorsMax)
            {
                found.Add(((int)record.Sponsor - 1, record.Slab));
            }
        }

        return found;
    }

    /// <summary>Writes that down, in such an order that it is true whatever is the last that is done.</summary>
    public void WriteReplicas(ulong stripe, IEnumerable<(int Sponsor, ulong Slab)> replicas)
    {
        ReplicaRecord* records = Replicas + (stripe * ReplicasPerStripe);
        var kept = new List<(int Sponsor, ulong Slab)>(replicas);
        for (int i = 0; i < ReplicasPerStripe; i++)
        {
            if (!kept.Remove(((int)records[i].Sponsor - 1, records[i].Slab)))
            {
                Volatile.Write(ref records[i].Sponsor, 0);
            }
        }

        foreach ((int sponsor, ulong slab) in kept)
        {
            int free = 0;
            while (records[free].Sponsor != 0)
            {
                free++;
            }

            Volatile.Write(ref records[free].Slab, slab);
            Volatile.Write(ref records[free].Sponsor, (ulong)sponsor + 1);
        }
    }

    private Head* Header => (Head*)_memory;

    private ReplicaRecord* Replicas => (ReplicaRecord*)(_memory + ReplicasOffset);

    private SegmentRecord* Records => (SegmentRecord*)(_memory + SegmentsOffset);

    /// <summary>True while a change of the address space has been read and not been carried out.</summary>
    public bool ChangesPending
    {
        get => Header->ChangesPending != 0;
        set => Volatile.Write(ref Header->ChangesPending, value ? 1 : 0);
    }

    /// <summary>Of a forked child: how many pages it began with here.</summary>
    public long InheritedPages
    {
        get => Header->InheritedPages;
        set => Header->InheritedPages = value;
    }

    /// <summary>True: nothing that is written there is taken back when its pager lets go of it, for the program may come to another with it.</summary>
    public bool IsKept { get; set; }

    /// <summary>Throws <see cref="InvalidOperationException"/>, <see cref="InsufficientMemoryException"/>.</summary>
    public static PageTableFile Create()
    {
        int descriptor = Libc.MemoryFile(Name, Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING);
        if (descriptor < 0 || Libc.Truncate(descriptor, TablesOffset) != 0)
        {
            throw new InvalidOperationException($"page tables: {Errno.Describe(Libc.Errno)}");
        }

        byte* memory;
        try
        {
            memory = NativeMemoryMap.Share(descriptor, unchecked((nuint)BytesMax));
        }
        catch (InsufficientMemoryException)
        {
            _ = Libc.Close(descriptor);
            throw;
        }

        // Kernels before 5.1 have no such seal: the program's descriptor is for reading only all the same.
        _ = Libc.Fcntl(descriptor, Libc.F_ADD_SEALS, Libc.F_SEAL_SHRINK | SealFutureWrite);
        var file = new PageTableFile(descriptor, memory, BytesMax);
        file.Header->Magic = FileMagic;
        return file;
    }

    /// <summary>
    /// What another pager has left, to read. Throws <see cref="InvalidDataException"/>. The descriptor stays the caller's.
    /// </summary>
    public static PageTableFile Open(int descriptor)
    {
        long bytes = Libc.Seek(descriptor, 0, Libc.SEEK_END);
        if (bytes < TablesOffset || bytes > BytesMax)
        {
            throw new InvalidDataException("the page tables are none");
        }

        byte* memory = (byte*)Libc.Map(null, (nuint)bytes, Libc.PROT_READ, Libc.MAP_SHARED, descriptor, 0);
        if ((nint)memory == -1)
        {
            throw new InvalidDataException($"the page tables cannot be mapped: {Errno.Describe(Libc.Errno)}");
        }

        var file = new PageTableFile(-1, memory, bytes);
        if (file.Header->Magic == FileMagic)
        {
            return file;
        }

        file.Dispose();
        throw new InvalidDataException("the page tables are of another version");
    }

    /// <summary>What no other file has; empty where the kernel does not say.</summary>
    public string Identity => IdentityOf(Descriptor);

    /// <summary>Of the file that a descriptor is of.</summary>
    public static string IdentityOf(int descriptor)
    {
        ulong* status = stackalloc ulong[32];
        return Libc.FileStatus(descriptor, status) == 0 ? $"{status[0]}:{status[1]}" : "";
    }

    /// <summary>A descriptor of it for the program, readable only; the caller's to close. -1 where there is none to be had.</summary>
    public int OpenForProgram() => Libc.Open($"/proc/self/fd/{Descriptor}", Libc.O_RDONLY | Libc.O_CLOEXEC, 0);

    /// <summary>
    /// Place for the entries of a segment, and behind them as many hashes, all zero; null pointers when there is none left. Of one that is there already what its
    /// entries and hashes are is kept.
    /// </summary>
    public PageTables Place(int number, ulong address, long pages)
    {
        ref SegmentRecord record = ref Records[number];
        if (pages > record.Capacity)
        {
            long bytes = ((pages * 2 * sizeof(ulong)) + Alignment - 1) & ~(Alignment - 1);
            if (_end + bytes > _bytes || !TryGrow(_end + bytes))
            {
                return default;
            }

            long capacity = bytes / (2 * sizeof(ulong));
            PageTables tables = TablesAt(_end, capacity);
            if (record.Capacity > 0)
            {
                PageTables before = TablesAt(record.Offset, record.Capacity);
                Buffer.MemoryCopy(before.Entries, tables.Entries, capacity * sizeof(ulong), record.Pages * sizeof(ulong));
                Buffer.MemoryCopy(before.Hashes, tables.Hashes, capacity * sizeof(ulong), record.Pages * sizeof(ulong));
            }

            // In this order each of them can be the last that is done.
            record.Capacity = 0;
            record.Offset = _end;
            record.Capacity = capacity;
            _end += bytes;
        }

        record.Address = address;
        record.Pages = pages;
        return TablesAt(record.Offset, record.Capacity);
    }

    /// <summary>A segment is gone, and its number free.</summary>
    public void Forget(int number)
    {
        if (IsKept)
        {
            return;
        }

        ref SegmentRecord record = ref Records[number];
        record.Pages = 0;
        if (record.Capacity > 0)
        {
            // Nobody else's until the pager ends; the memory is given back.
            _ = Libc.Advise(_memory + record.Offset, (nuint)(record.Capacity * 2 * sizeof(ulong)), Libc.MADV_REMOVE);
        }

        record = default;
    }

    /// <summary>The segments there are. Throws <see cref="InvalidDataException"/> where one is not in the file.</summary>
    public IEnumerable<(int Number, ulong Address, long Pages)> Segments
    {
        get
        {
            for (int number = 0; number < SegmentTable.Capacity; number++)
            {
                if (RecordAt(number) is { Pages: > 0 } record)
                {
                    yield return (number, record.Address, record.Pages);
                }
            }
        }
    }

    public PageTables Tables(int number) => TablesAt(Records[number].Offset, Records[number].Capacity);

    public void Dispose()
    {
        _ = Libc.Unmap(_memory, (nuint)_bytes);
        if (Descriptor >= 0)
        {
            _ = Libc.Close(Descriptor);
            Descriptor = -1;
        }
    }

    private SegmentRecord RecordAt(int number)
    {
        SegmentRecord record = Records[number];
        return record.Pages == 0
            || (record.Pages > 0 && record.Pages <= record.Capacity && record.Offset >= TablesOffset && record.Capacity <= _bytes / 16 && record.Offset + (record.Capacity * 16) <= _bytes
                && (record.Address & 4095) == 0 && record.Address + ((ulong)record.Pages << 12) > record.Address)
            ? record
            : throw new InvalidDataException("the page tables are damaged");
    }

    private PageTables TablesAt(long offset, long capacity) =>
        new() { Entries = (PageEntry*)(_memory + offset), Hashes = (ulong*)(_memory + offset + (capacity * sizeof(ulong))) };

    private bool TryGrow(long length)
    {
        if (length > _length && Libc.Truncate(Descriptor, length) != 0)
        {
            return false;
        }

        _length = Math.Max(_length, length);
        return true;
    }
}
