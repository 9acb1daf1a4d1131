using Hecatonchire.Handover;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Units;

namespace Hecatonchire.Install;

/// <summary>
/// A program's memory through its userfaultfd, its evictor ring and process_vm_readv. Of a forked child the descriptor is known first, and the rest when
/// it has said HELLO: <see cref="Attach"/>.
/// </summary>
internal sealed unsafe class KernelProgramMemory : IProgramMemory, IDisposable
{
    /// <summary>EAGAIN from a UFFDIO call means an address-space event is queued; without such events it is rare and brief.</summary>
    private const int RetriesMax = 1000;

    /// <summary>Where such events are told, EAGAIN is over only once this thread has read them and who caused them has run.</summary>
    private const int RetriesMaxTold = 2;

    private const int MessagesMax = 32;

    /// <summary>4 KiB of 24-byte regions.</summary>
    private const int RegionsMax = 128;

    private readonly int _uffd;
    private readonly ulong _capabilities;
    private readonly bool _canPoison;
    private readonly int _retriesMax;
    private readonly UffdMessage* _messages;
    private readonly bool _ownsMessages;
    private readonly byte* _regions = NativeMemoryMap.Populate(4096);
    private readonly byte* _unreadable = (byte*)Libc.Map(null, PageSize.Bytes, Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
    private int _process;
    private ulong _stagingAddress;
    private CommandRing? _ring;
    private PageSnapshots? _snapshots;
    private PageUnsharing? _unsharing;
    private int _pagemap = -1;
    private int _messagesRead;

    /// <param name="uffd">The program's.</param>
    /// <param name="capabilities">What it said that it can.</param>
    /// <param name="messages">A page that outlives this process, for what the kernel tells; null: of its own.</param>
    public KernelProgramMemory(int uffd, ulong capabilities, byte* messages = null)
    {
        _ownsMessages = messages == null;
        _messages = (UffdMessage*)(messages != null ? messages : NativeMemoryMap.Populate(4096));
        (_uffd, _capabilities) = (uffd, capabilities);
        _canPoison = (capabilities & HandoverAbi.CanPoison) != 0;
        TakeCopies = (capabilities & HandoverAbi.CanMove) == 0;
        TellsChanges = (capabilities & HandoverAbi.CanChange) != 0;
        _retriesMax = TellsChanges ? RetriesMaxTold : RetriesMax;
        CanProtect = (capabilities & HandoverAbi.CanWriteProtect) != 0;
    }

    /// <summary>The program has said HELLO. By the pager thread, or before it runs.</summary>
    public void Attach(int process, ulong stagingAddress, CommandRing ring, PageSnapshots? snapshots, PageUnsharing? unsharing)
    {
        (_process, _stagingAddress, _ring, _snapshots, _unsharing) = (process, stagingAddress, ring, snapshots, unsharing);
        _pagemap = !TakeCopies ? Libc.Open($"/proc/{process}/pagemap", Libc.O_RDONLY | Libc.O_CLOEXEC, 0) : -1;
    }

    /// <summary>The memory of a child, by the userfaultfd that was told with its fork; it becomes this object's.</summary>
    public KernelProgramMemory OfChild(int uffd, PageTableFile? tables) =>
        new(uffd, _capabilities, tables is null ? null : tables.Messages) { OwnsDescriptor = true };

    /// <summary>
    /// True when what the program forks has the process ids here that it has for itself: the kernel tells a faulting thread as it is in its own namespace.
    /// </summary>
    public bool ForksInOwnNamespace => LinkOf($"/proc/{_process}/ns/pid_for_children") is { } theirs && theirs == LinkOf("/proc/self/ns/pid");

    public int Descriptor => _uffd;

    /// <summary>The descriptor is not of the program's HELLO.</summary>
    public bool OwnsDescriptor { get; private init; }

    public bool HasEvictor => _ring is { EvictorThread: not 0 };

    public void NoteCaptured() => _ring!.NoteCaptured();

    public bool TakeCopies { get; }

    public bool CanProtect { get; }

    public bool TellsChanges { get; }

    public bool CanSnapshot => _snapshots is not null;

    public byte* SnapshotData => _snapshots!.Data;

    public int FreeCommands => _ring?.FreeCommands ?? 0;

    public bool AcknowledgeFork(out bool begins)
    {
        begins = false;
        return _ring?.AcknowledgeFork(out begins) ?? false;
    }

    public void PostUnshare(ReadOnlySpan<ulong> addresses) => _unsharing!.Post(addresses);

    public bool IsUnshareDone => _unsharing!.IsDone(out _);

    public int ReadFaults(Span<FaultEvent> faults)
    {
        if (!TellsChanges || _ring is null)
        {
            return Read(faults, out _);
        }

        if (!_ring.TryBeginReading())
        {
            return 0;
        }

        int count = Read(faults, out bool isPlaceChanged);
        _ring.EndReading(isPlaceChanged);
        return count;
    }

    public void ForgetFaults()
    {
        for (int i = 0; i < _messagesRead; i++)
        {
            _messages[i].Event = 0;
        }

        _messagesRead = 0;
    }

    /// <summary>Changes of the address space that another pager has read to <paramref name="messages"/>, in their order, but the first <paramref name="noted"/>.</summary>
    public static FaultEvent[] ChangesIn(byte* messages, int noted)
    {
        var changes = new List<FaultEvent>();
        for (int i = 0; i < MessagesMax; i++)
        {
            if (TryParse(in ((UffdMessage*)messages)[i], out FaultEvent told) && told.IsChange && noted-- <= 0)
            {
                changes.Add(told);
            }
        }

        return [.. changes];
    }

    private int Read(Span<FaultEvent> faults, out bool isPlaceChanged)
    {
        isPlaceChanged = false;
        int most = Math.Min(faults.Length, MessagesMax);
        nint bytes = Libc.Read(_uffd, _messages, (nuint)(most * sizeof(UffdMessage)));
        if (bytes < 0)
        {
            int errno = Libc.Errno;
            return errno is Errno.EAGAIN or Errno.EINTR ? 0 : -errno;
        }

        int count = 0;
        _messagesRead = (int)bytes / sizeof(UffdMessage);
        for (int i = 0; i < _messagesRead; i++)
        {
            if (TryParse(in _messages[i], out FaultEvent told))
            {
                faults[count++] = told;
                isPlaceChanged |= told.Kind is FaultKind.Unmapped or FaultKind.Remapped or FaultKind.Forked;
            }
        }

        return count;
    }

    private static bool TryParse(in UffdMessage message, out FaultEvent told)
    {
        switch (message.Event)
        {
            case UffdAbi.UFFD_EVENT_PAGEFAULT:
                FaultKind kind = (message.Flags & UffdAbi.UFFD_PAGEFAULT_FLAG_WP) != 0 ? FaultKind.WriteProtected
                    : (message.Flags & UffdAbi.UFFD_PAGEFAULT_FLAG_WRITE) != 0 ? FaultKind.Write : FaultKind.Read;
                told = new FaultEvent(message.Address & ~(ulong)(PageSize.Bytes - 1), kind, message.Thread);
                return true;
            case UffdAbi.UFFD_EVENT_FORK:
                told = new FaultEvent(FaultKind.Forked, 0, 0, message.ForkDescriptor);
                return true;
            case UffdAbi.UFFD_EVENT_REMOVE:
                told = new FaultEvent(FaultKind.Removed, message.Start, message.EndOrTarget, 0);
                return true;
            case UffdAbi.UFFD_EVENT_UNMAP:
                told = new FaultEvent(FaultKind.Unmapped, message.Start, message.EndOrTarget, 0);
                return true;
            case UffdAbi.UFFD_EVENT_REMAP:
                told = new FaultEvent(FaultKind.Remapped, message.Start, message.Start + message.Length, message.EndOrTarget);
                return true;
            default:
                told = default;
                return false;
        }
    }

    public int Copy(ulong address, byte* source, int pages, CopyMode mode, out int copied)
    {
        copied = 0;
        for (int attempt = 0; attempt < _retriesMax; attempt++)
        {
            var argument = new UffdCopy
            {
                Destination = address + ((ulong)copied << PageSize.Shift),
                Source = (ulong)source + ((ulong)copied << PageSize.Shift),
                Length = (ulong)(pages - copied) << PageSize.Shift,
                Mode = (ulong)mode,
            };
            if (Libc.Ioctl(_uffd, UffdAbi.UFFDIO_COPY, &argument) == 0)
            {
                copied = pages;
                return 0;
            }

            int errno = Libc.Errno;
            copied += argument.Copied > 0 ? (int)(argument.Copied >> PageSize.Shift) : 0;
            if (copied == pages)
            {
                return 0;
            }

            // A partial copy ends with EAGAIN whatever stopped it; the next call says what did.
            if (errno != Errno.EAGAIN)
            {
                return errno;
            }
        }

        return Errno.EAGAIN;
    }

    public int ZeroPage(ulong address)
    {
        var argument = new UffdRangeMode { Start = address, Length = PageSize.Bytes };
        return Retry(UffdAbi.UFFDIO_ZEROPAGE, &argument);
    }

    public int Poison(ulong address)
    {
        if (!_canPoison)
        {
            return Errno.ENOSYS;
        }

        var argument = new UffdRangeMode { Start = address, Length = PageSize.Bytes };
        return Retry(UffdAbi.UFFDIO_POISON, &argument);
    }

    public int Register(ulong address, long pages)
    {
        var argument = new UffdRegister { Start = address, Length = (ulong)pages << PageSize.Shift, Mode = UffdAbi.UFFDIO_REGISTER_MODE_MISSING };
        return Libc.Ioctl(_uffd, UffdAbi.UFFDIO_REGISTER, &argument) == 0 ? 0 : Libc.Errno;
    }

    public int FindRegistered(ulong address, long pages = 1)
    {
        // A copy from where nothing can be read: the kernel looks at the target first, then at a page that is there, then finds the source missing.
        var argument = new UffdCopy { Destination = address, Source = (ulong)_unreadable, Length = (ulong)pages << PageSize.Shift };
        int errno = Libc.Ioctl(_uffd, UffdAbi.UFFDIO_COPY, &argument) == 0 ? 0 : Libc.Errno;
        return errno is Errno.EFAULT or Errno.EEXIST ? 0 : errno;
    }

    public int FindPresent(ulong address, long pages, Span<AddressRange> found)
    {
        PagemapRegion* regions = (PagemapRegion*)_regions;
        var argument = new PagemapScan
        {
            Size = (ulong)sizeof(PagemapScan),
            Start = address,
            End = address + ((ulong)pages << PageSize.Shift),
            Vector = (ulong)regions,
            VectorLength = (ulong)Math.Min(found.Length, RegionsMax),
            CategoryAnyOfMask = PagemapAbi.PAGE_IS_PRESENT | PagemapAbi.PAGE_IS_SWAPPED,
        };
        int count = _pagemap < 0 ? -1 : Libc.Ioctl(_pagemap, PagemapAbi.PAGEMAP_SCAN, &argument);
        if (count < 0)
        {
            return _pagemap < 0 ? -Errno.EACCES : -Libc.Errno;
        }

        for (int i = 0; i < count; i++)
        {
            found[i] = new AddressRange(regions[i].Start, regions[i].End);
        }

        return count;
    }

    public int FindStaged(int first, int pages, Span<AddressRange> found)
    {
        ulong start = _stagingAddress;
        int count = FindPresent(start + ((ulong)first << PageSize.Shift), pages, found);
        for (int i = 0; i < count; i++)
        {
            found[i] = new AddressRange(found[i].Start - start, found[i].End - start);
        }

        return count;
    }

    public int Wake(ulong address, long pages)
    {
        var argument = new UffdRange { Start = address, Length = (ulong)pages << PageSize.Shift };
        return Retry(UffdAbi.UFFDIO_WAKE, &argument);
    }

    public int Unprotect(ulong address, int pages)
    {
        var argument = new UffdWriteProtect { Start = address, Length = (ulong)pages << PageSize.Shift };
        int errno = Retry(UffdAbi.UFFDIO_WRITEPROTECT, &argument);
        return errno == 0 ? 0 : Wake(address, pages);
    }

    public int ReadStaging(int index, int pages, byte* target)
    {
        nuint length = (nuint)pages << PageSize.Shift;
        var local = new IoVector(target, length);
        var remote = new IoVector((void*)(_stagingAddress + ((ulong)index << PageSize.Shift)), length);
        nint got = Libc.ReadProcessMemory(_process, &local, 1, &remote, 1, 0);
        return got == (nint)length ? 0 : got < 0 ? Libc.Errno : Errno.EFAULT;
    }

    public void PostSnapshot(ReadOnlySpan<ulong> addresses) => _snapshots!.Post(addresses);

    public bool IsSnapshotDone(out int errno) => _snapshots!.IsDone(out errno);

    public ulong SnapshotHash(int index) => _snapshots!.Hash(index);

    public ulong StagedHash(int index) => _ring!.StagedHash(index);

    public void PostTake(ulong address, int pages, int stagingIndex, ulong cookie) =>
        _ring!.Post(HandoverAbi.Take, pages, address, StagingAddress(stagingIndex), cookie);

    public void PostRecycle(int stagingIndex, int pages, ulong cookie) =>
        _ring!.Post(HandoverAbi.Recycle, pages, 0, StagingAddress(stagingIndex), cookie);

    public void PostDrop(ulong address, int pages, ulong cookie) => _ring!.Post(HandoverAbi.Drop, pages, address, 0, cookie);

    public bool CanResize => (_capabilities & HandoverAbi.CanResize) != 0;

    public void PostResize(ulong address, long pages, ulong cookie) => _ring!.Post(HandoverAbi.ResizeSegment, 1, address, (ulong)pages << PageSize.Shift, cookie);

    public void SubmitCommands() => _ring?.Submit();

    public int PollCompletions(Span<EvictorCompletion> completions) => _ring?.Poll(completions) ?? 0;

    private static string? LinkOf(string path)
    {
        try
        {
            return new FileInfo(path).LinkTarget;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public void Dispose()
    {
        if (_ownsMessages)
        {
            _ = Libc.Unmap(_messages, 4096);
        }

        _ = Libc.Unmap(_regions, 4096);
        _ = Libc.Unmap(_unreadable, PageSize.Bytes);
        if (_pagemap >= 0)
        {
            _ = Libc.Close(_pagemap);
        }

        if (OwnsDescriptor)
        {
            _ = Libc.Close(_uffd);
        }
    }

    private ulong StagingAddress(int index) => _stagingAddress + ((ulong)index << PageSize.Shift);

    private int Retry(nuint request, void* argument)
    {
        for (int attempt = 0; attempt < _retriesMax; attempt++)
        {
            if (Libc.Ioctl(_uffd, request, argument) == 0)
            {
                return 0;
            }

            int errno = Libc.Errno;
            if (errno is not (Errno.EAGAIN or Errno.EINTR))
            {
                return errno;
            }
        }

        return Errno.EAGAIN;
    }
}
