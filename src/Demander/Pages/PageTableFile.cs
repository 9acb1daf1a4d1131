using Hecatonchire.Interop;

namespace Hecatonchire.Pages;

/// <summary>What is known of a segment beside its pages.</summary>
internal struct SegmentIdentity
{
    public Guid Id;

    /// <summary>What it can grow to; 0: not known.</summary>
    public long ReservePages;

    /// <summary>While its length is changed from outside: from how many pages to how many. The program has either. 0: it is not.</summary>
    public long ResizedFrom;
    public long ResizedTo;
}

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
internal sealed unsafe partial class PageTableFile : IDisposable
{
    /// <summary>Address space, no memory: entries and hashes of 8 TiB, those of segments that have grown or gone included.</summary>
    private const long BytesMax = 32L << 30;

    private const ulong FileMagic = 0x3454_4147_4341_4548; // "HECAGAT4"
    /// <summary>As which the kernel lists it among a process's descriptors.</summary>
    public const string Name = "heca-page-tables";

    private const int SealFutureWrite = 0x10;
    private const int SponsorsOffset = 1024;
    private const int MessagesOffset = 4096;
    private const int SlabsOffset = 2 * 4096;
    private const int SegmentsOffset = SlabsOffset + (Placement.SlotMap.SlabsMax * 2 * sizeof(ulong));
    private const int IdentitiesOffset = SegmentsOffset + (SegmentTable.Capacity * 4 * sizeof(ulong));
    private const int ReplicasOffset = 512 << 10;
    private const int ReplicasPerStripe = 4;
    private const int ChangesOffset = 768 << 10;
    private const int PlacedOffset = 800 << 10;
    private const long TablesOffset = 1 << 20;

    /// <summary>Tables grow in these steps, and the file with them.</summary>
    private const long Alignment = 1 << 20;

    private readonly byte* _memory;
    private readonly long _bytes;

    /// <summary>To ask the kernel where it has data; the caller's where it is read.</summary>
    private readonly int _source;
    private readonly List<(long Offset, long Capacity)> _places = [];
    private long _end = TablesOffset;
    private long _length = TablesOffset;

    private struct Head
    {
        public ulong Magic;
        public Guid Demander;
        public int Untold;
        public int PlacedCount;
        public long InheritedPages;

        /// <summary>Changes noted so far, and in the low bits how many of the messages are among them: one store says both.</summary>
        public ulong Noted;
        public ulong Done;
        public int IsSealed;
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

    private PageTableFile(int descriptor, int source, byte* memory, long bytes)
    {
        (Descriptor, _source) = (descriptor, source);
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

    /// <summary>True when what sponsors have are pages that only who has the seals can open.</summary>
    public bool IsSealed
    {
        get => Header->IsSealed != 0;
        set => Header->IsSealed = value ? 1 : 0;
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
        var file = new PageTableFile(descriptor, descriptor, memory, BytesMax);
        file.Header->Magic = FileMagic;
        return file;
    }

    /// <summary>
    /// What another pager has left, to read. Throws <see cref="InvalidDataException"/>. The descriptor stays the caller's, and open as long as this is.
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

        var file = new PageTableFile(-1, descriptor, memory, bytes);
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
    /// entries and hashes are is kept: of the groups of pages that <paramref name="touched"/> has, for to read of the others makes memory of what takes none.
    /// </summary>
    public PageTables Place(int number, ulong address, long pages, long reservePages, TouchedPages touched)
    {
        ref SegmentRecord record = ref Records[number];
        if (pages > record.Capacity)
        {
            // What it can grow to costs nothing but addresses. To move its tables later would leave what they took here behind.
            long bytes = BytesFor(Math.Max(pages, BytesFor(reservePages) <= (_bytes - _end) / 8 ? reservePages : 0));
            if (!TryTake(bytes, out (long Offset, long Capacity) place))
            {
                return default;
            }

            PageTables tables = TablesAt(place.Offset, place.Capacity);
            (long Offset, long Capacity) left = (record.Offset, record.Capacity);
            if (left.Capacity > 0)
            {
                PageTables before = TablesAt(left.Offset, left.Capacity);
                for (long first = touched.NextGroup(0, record.Pages); first < record.Pages; first = touched.NextGroup(first + TouchedPages.GroupPages, record.Pages))
                {
                    long length = Math.Min(TouchedPages.GroupPages, record.Pages - first) * sizeof(ulong);
                    Buffer.MemoryCopy(before.Entries + first, tables.Entries + first, length, length);
                    Buffer.MemoryCopy(before.Hashes + first, tables.Hashes + first, length, length);
                }
            }

            // In this order each of them can be the last that is done.
            record.Capacity = 0;
            record.Offset = place.Offset;
            record.Capacity = place.Capacity;
            Leave(left, touched);
        }

        record.Address = address;
        record.Pages = pages;
        return TablesAt(record.Offset, record.Capacity);
    }

    /// <summary>A segment is gone, and its number free. Its entries are other than blank in the groups that <paramref name="touched"/> has.</summary>
    public void Forget(int number, TouchedPages touched)
    {
        if (IsKept)
        {
            return;
        }

        ref SegmentRecord record = ref Records[number];
        (long Offset, long Capacity) left = (record.Offset, record.Capacity);
        record.Pages = 0;
        record = default;
        Identities[number] = default;
        Leave(left, touched);
    }

    /// <summary>By its number what is known of a segment beside its pages.</summary>
    public SegmentIdentity* Identities => (SegmentIdentity*)(_memory + IdentitiesOffset);

    /// <summary>The first page from <paramref name="page"/> on of whose entry there may be data; the segment's pages when there is none.</summary>
    public long NextWithData(int number, long page)
    {
        SegmentRecord record = Records[number];
        long found = Libc.Seek(_source, record.Offset + (page * sizeof(ulong)), Libc.SEEK_DATA);
        return found < 0 ? Libc.Errno == Errno.ENXIO ? record.Pages : page : Math.Min(record.Pages, (found - record.Offset) / sizeof(ulong));
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

    /// <summary>A sealed file gives no memory back, so a place that a segment has left is made blank and another's.</summary>
    private void Leave((long Offset, long Capacity) place, TouchedPages touched)
    {
        if (place.Capacity > 0)
        {
            PageEntry* entries = TablesAt(place.Offset, place.Capacity).Entries;
            for (long first = touched.NextGroup(0, place.Capacity); first < place.Capacity; first = touched.NextGroup(first + TouchedPages.GroupPages, place.Capacity))
            {
                new Span<PageEntry>(entries + first, (int)Math.Min(TouchedPages.GroupPages, place.Capacity - first)).Clear();
            }

            _places.Add(place);
        }
    }

    /// <summary>A blank place: the smallest that was left and is large enough, but not far too large; else the next that was nobody's.</summary>
    private bool TryTake(long bytes, out (long Offset, long Capacity) place)
    {
        long capacity = bytes / (2 * sizeof(ulong));
        int best = -1;
        for (int i = 0; i < _places.Count; i++)
        {
            bool fits = _places[i].Capacity >= capacity && _places[i].Capacity <= 4 * capacity;
            best = fits && (best < 0 || _places[i].Capacity < _places[best].Capacity) ? i : best;
        }

        if (best >= 0)
        {
            place = _places[best];
            _places.RemoveAt(best);
            return true;
        }

        place = (_end, capacity);
        if (_end + bytes > _bytes || !TryGrow(_end + bytes))
        {
            return false;
        }

        _end += bytes;
        return true;
    }

    private static long BytesFor(long pages) => ((pages * 2 * sizeof(ulong)) + Alignment - 1) & ~(Alignment - 1);

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
