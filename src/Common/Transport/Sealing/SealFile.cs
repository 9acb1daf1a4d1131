using System.Security.Cryptography;
using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Sealing;

/// <summary>What it takes to open what was last written to a slot.</summary>
internal unsafe struct SealRecord
{
    /// <summary>0: nothing was.</summary>
    public ulong Version;

    public fixed byte Tag[PageSeal.TagBytes];
}

/// <summary>Of a stripe, where its numbers and its slots' records are; no pointers: pages are not sealed.</summary>
internal unsafe struct SealPlace
{
    public SealHead* Head;
    public SealRecord* Records;
}

/// <summary>Of a stripe: which of all that there were under the key it is, and the version that was written last. Neither ever comes twice.</summary>
internal struct SealHead
{
    public ulong Generation;
    public ulong Version;
}

/// <summary>
/// The key that a program's pages are sealed with, and what it takes to open each: memory that outlives the pager where another can come after it, as a file in a folder that is memory
/// itself (tmpfs), whose name is the demander's; else it ends with this process. What is in a stripe's place is had before anything is written to it, so that a write-back takes
/// no memory.
/// </summary>
internal sealed unsafe class SealFile : IDisposable
{
    public const int KeyBytes = 32;
    public const int StripesMax = 4096;
    public const uint SlotsMax = 1 << 18;

    private const ulong FileMagic = 0x3153_4c41_4553_4548; // "HESEALS1"
    private const string Extension = ".seals";
    private const int KeyOffset = 64;
    private const int HeadsOffset = 4096;
    private const long PlacesOffset = 1 << 20;
    private const long BytesMax = PlacesOffset + (StripesMax * (long)SlotsMax * RecordBytes);
    private const int RecordBytes = sizeof(ulong) + PageSeal.TagBytes;

    private readonly int _descriptor;
    private readonly string? _path;
    private readonly byte* _memory;

    private struct Header
    {
        public ulong Magic;

        /// <summary>Stripes that there were.</summary>
        public ulong Generations;
    }

    private SealFile(int descriptor, string? path)
    {
        (_descriptor, _path) = (descriptor, path);
        try
        {
            _memory = NativeMemoryMap.Share(descriptor, unchecked((nuint)BytesMax));
        }
        catch (InsufficientMemoryException)
        {
            _ = Libc.Close(descriptor);
            throw;
        }

        // Not in a core dump.
        _ = Libc.Advise(_memory, PageSize.Bytes, Libc.MADV_DONTDUMP);
    }

    /// <summary>With a key of its own. <paramref name="folder"/>: where the next pager finds it; null: there will be none. Throws <see cref="SealException"/>, <see cref="InsufficientMemoryException"/>.</summary>
    public static SealFile Create(string? folder, Guid demander)
    {
        CheckHost(folder);
        string? path = folder is null ? null : PathOf(folder, demander);
        int descriptor = path is null
            ? Libc.MemoryFile("heca-seals", Libc.MFD_CLOEXEC)
            : Libc.Open(path, Libc.O_RDWR | Libc.O_CREAT | Libc.O_EXCL | Libc.O_NOFOLLOW | Libc.O_CLOEXEC, 0x180);
        if (descriptor < 0 || Libc.Truncate(descriptor, BytesMax) != 0 || Libc.ChangeBlocks(descriptor, 0, 0, PlacesOffset) != 0)
        {
            int errno = Libc.Errno;
            Abandon(descriptor, path);
            throw new SealException($"pages cannot be sealed: {path ?? "a file in memory"}: {Errno.Describe(errno)}");
        }

        var file = new SealFile(descriptor, path);
        RandomNumberGenerator.Fill(new Span<byte>(file._memory + KeyOffset, KeyBytes));
        Volatile.Write(ref file.Head->Magic, FileMagic);
        return file;
    }

    /// <summary>What another pager has left; null where it sealed nothing. Throws <see cref="InvalidDataException"/>, <see cref="InsufficientMemoryException"/>.</summary>
    public static SealFile? Open(string folder, Guid demander)
    {
        string path = PathOf(folder, demander);
        int descriptor = Libc.Open(path, Libc.O_RDWR | Libc.O_NOFOLLOW | Libc.O_CLOEXEC, 0);
        if (descriptor < 0)
        {
            return Libc.Errno == Errno.ENOENT ? null : throw new InvalidDataException($"{path}: {Errno.Describe(Libc.Errno)}");
        }

        if (Libc.Seek(descriptor, 0, Libc.SEEK_END) != BytesMax)
        {
            _ = Libc.Close(descriptor);
            throw new InvalidDataException($"{path} is not what pages were sealed with");
        }

        var file = new SealFile(descriptor, path);
        if (file.Head->Magic == FileMagic)
        {
            return file;
        }

        file.Dispose();
        throw new InvalidDataException($"{path} is of another version");
    }

    /// <summary>Throws <see cref="SealException"/> where no pages can be sealed, or a key would be written to a disk.</summary>
    public static void CheckHost(string? folder)
    {
        if (!AesGcm.IsSupported)
        {
            throw new SealException("pages cannot be sealed: no AES-GCM here (libssl)");
        }

        if (folder is not null && new DriveInfo(folder).DriveFormat is not "tmpfs" and var format)
        {
            throw new SealException($"pages cannot be sealed: {folder} is on {format}, and the key is to be in memory only; give a folder on a tmpfs, such as /run");
        }
    }

    /// <summary>For one thread.</summary>
    public PageSeal NewSeal() => new(new ReadOnlySpan<byte>(_memory + KeyOffset, KeyBytes));

    /// <summary>
    /// Has memory, all zeros, for the records of a stripe that there is not yet. 0, or the errno: ENOSPC where the folder's bound or the place for stripes is reached, ENOMEM. By any
    /// thread, one at a time.
    /// </summary>
    public int TryPrepare(ulong stripe, uint slots)
    {
        if (stripe >= StripesMax || slots > SlotsMax)
        {
            return Errno.ENOSPC;
        }

        // One whose pager died may have left something there.
        Forget(stripe);
        return Libc.ChangeBlocks(_descriptor, 0, OffsetOf(stripe), (long)slots * RecordBytes) == 0 ? 0 : Libc.Errno;
    }

    /// <summary>A stripe begins there, prepared before: what was sealed in others is not opened in it.</summary>
    public SealPlace Begin(ulong stripe)
    {
        SealPlace place = PlaceOf(stripe);
        // First, so that no two have the same.
        Volatile.Write(ref Head->Generations, Head->Generations + 1);
        *place.Head = new SealHead { Generation = Head->Generations };
        return place;
    }

    /// <summary>A stripe that another pager has begun. Throws <see cref="InvalidDataException"/>.</summary>
    public SealPlace Adopt(ulong stripe) => stripe < StripesMax && PlaceOf(stripe) is var place && place.Head->Generation != 0
        ? place
        : throw new InvalidDataException("what pages were sealed with is not there");

    /// <summary>The stripe has ended: its memory is given back.</summary>
    public void Forget(ulong stripe)
    {
        PlaceOf(stripe).Head->Generation = 0;
        _ = Libc.ChangeBlocks(_descriptor, Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, OffsetOf(stripe), (long)SlotsMax * RecordBytes);
    }

    /// <summary>Nobody comes after this pager.</summary>
    public void Delete()
    {
        if (_path is not null)
        {
            _ = Libc.Unlink(_path);
        }
    }

    public void Dispose()
    {
        _ = Libc.Unmap(_memory, unchecked((nuint)BytesMax));
        _ = Libc.Close(_descriptor);
    }

    private Header* Head => (Header*)_memory;

    private static string PathOf(string folder, Guid demander) => Path.Combine(folder, demander + Extension);

    private static long OffsetOf(ulong stripe) => PlacesOffset + ((long)stripe * SlotsMax * RecordBytes);

    private SealPlace PlaceOf(ulong stripe) => new()
    {
        Head = (SealHead*)(_memory + HeadsOffset) + stripe,
        Records = (SealRecord*)(_memory + OffsetOf(stripe)),
    };

    private static void Abandon(int descriptor, string? path)
    {
        if (descriptor >= 0)
        {
            _ = Libc.Close(descriptor);
            _ = path is null ? 0 : Libc.Unlink(path);
        }
    }
}
