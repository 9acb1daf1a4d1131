using System.Collections.Concurrent;
using System.Numerics;
using System.Security.Cryptography;
using Hecatonchire.Interop;
using Hecatonchire.Transport.Sealing;
using Hecatonchire.Units;
using Microsoft.Win32.SafeHandles;

namespace Hecatonchire.Transport.Spill;

/// <summary>
/// Slabs in a file on a local disk: the sponsor of last resort, which <see cref="SpillConnection"/>s read and write. What is in the file is sealed with a key that only this process has, in
/// memory: to anybody else, and after this, it is noise. A slab's blocks are reserved when it is allocated, so that a write to it cannot find the disk full, and given back when it is
/// freed. Any thread may allocate, one at a time, and free, which takes as long as the file system does.
/// </summary>
internal sealed unsafe class SpillFile : IDisposable
{
    public const long SlabBytesMin = 64L << 10;
    public const long SlabBytesMax = 1L << 30;

    private const int KeyBytes = 32;

    /// <summary>Reserved in one call: one that a signal interrupts may have to begin again.</summary>
    private const long ReserveBytes = 64L << 20;
    private const int InterruptionsMax = 100;

    private readonly SpillRanges _ranges = new();
    private readonly ConcurrentDictionary<ulong, SpillSlab> _slabs = new();
    private readonly byte* _key;
    private uint _serial;
    private int _isAllocating;

    /// <summary>Slabs whose blocks are given back and whose ranges are not yet: a list by <see cref="SpillSlab.Next"/> that any thread adds to.</summary>
    private SpillSlab? _released;
    private long _allocatedBytes;
    private long _pagesRead;
    private long _pagesWritten;
    private long _pagesLost;
    private int _writesHeld;
    private volatile string? _failReason;
    private volatile string? _heldReason;
    private volatile bool _isDisposed;

    /// <summary>Makes the file. Throws <see cref="SpillException"/>.</summary>
    /// <param name="path">A directory, or a file that is not there in one: the file has no name, so the latter says only where.</param>
    /// <param name="bytesMax">So much of the disk at most.</param>
    public SpillFile(string path, long bytesMax)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytesMax);
        if (!AesGcm.IsSupported)
        {
            throw new SpillException($"cannot spill to {path}: what would be written there cannot be encrypted: no AES-GCM (libssl)");
        }

        (FilePath, BytesMax) = (path, bytesMax);
        Handle = SpillOpening.Open(path, out bool isDirect);
        IsDirect = isDirect;

        // Neither in a core dump nor, if that is allowed, in swap.
        _key = NativeMemoryMap.Populate(PageSize.Bytes);
        _ = Libc.Advise(_key, PageSize.Bytes, Libc.MADV_DONTDUMP);
        _ = Libc.LockMemory(_key, PageSize.Bytes);
        RandomNumberGenerator.Fill(new Span<byte>(_key, KeyBytes));
    }

    /// <summary>As it was given.</summary>
    public string FilePath { get; }

    public long BytesMax { get; }

    /// <summary>False where the file system has no O_DIRECT: pages then pass through the page cache.</summary>
    public bool IsDirect { get; }

    /// <summary>What all slabs take together.</summary>
    public long AllocatedBytes => Interlocked.Read(ref _allocatedBytes);

    public long PagesRead => Interlocked.Read(ref _pagesRead);

    public long PagesWritten => Interlocked.Read(ref _pagesWritten);

    /// <summary>Pages that the disk could not return as they were written. Each was told as <see cref="DataStatus.Lost"/>.</summary>
    public long PagesLost => Interlocked.Read(ref _pagesLost);

    /// <summary>Writes that wait because the disk is full in spite of the reservation; they are carried out once it is not, and their buffers stay in use.</summary>
    public int WritesHeld => Volatile.Read(ref _writesHeld);

    /// <summary>Why a write waits, or last waited; null: none ever did.</summary>
    public string? HeldReason => _heldReason;

    /// <summary>Once the device has failed: why, for a message to people. Nothing is read or written any more.</summary>
    public string? FailReason => _failReason;

    internal SafeFileHandle Handle { get; }

    /// <summary>
    /// Takes a slab of so many bytes, a power of two from <see cref="SlabBytesMin"/> to <see cref="SlabBytesMax"/>. 0, or the errno: ENOSPC where it exceeds the bound or the disk is full, EDQUOT,
    /// EFBIG, ENOMEM; EBUSY where another thread is allocating; EIO where the file has failed or is disposed of. Nothing has changed then.
    /// </summary>
    public int TryAllocate(long bytes, out ulong slab)
    {
        slab = 0;
        if (bytes is < SlabBytesMin or > SlabBytesMax || !BitOperations.IsPow2(bytes))
        {
            return Errno.EINVAL;
        }

        if (Interlocked.Exchange(ref _isAllocating, 1) != 0)
        {
            return Errno.EBUSY;
        }

        // The descriptor's number must not become another file's while this is under way.
        bool isReferenced = false;
        try
        {
            Handle.DangerousAddRef(ref isReferenced);
            return Allocate(bytes, out slab);
        }
        catch (ObjectDisposedException)
        {
            return Errno.EIO;
        }
        finally
        {
            if (isReferenced)
            {
                Handle.DangerousRelease();
            }

            Volatile.Write(ref _isAllocating, 0);
        }
    }

    /// <summary>Frees a slab: what is posted for it already is carried out first, what is posted from now on is refused. False where there is none of that number.</summary>
    public bool Free(ulong slab)
    {
        if (!_slabs.TryRemove(slab, out SpillSlab? freed))
        {
            return false;
        }

        freed.Close();
        return true;
    }

    /// <summary>Closes the file, once no connection has it any more. By its owner, while nobody allocates.</summary>
    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        foreach (ulong slab in _slabs.Keys)
        {
            _ = Free(slab);
        }

        CryptographicOperations.ZeroMemory(new Span<byte>(_key, KeyBytes));
        _ = Libc.Unmap(_key, PageSize.Bytes);
        Handle.Dispose();
    }

    /// <summary>With a user more, who must leave it; null where there is none of that number.</summary>
    internal SpillSlab? Enter(ulong slab) => _slabs.TryGetValue(slab, out SpillSlab? found) && found.TryEnter() ? found : null;

    /// <summary>For one thread.</summary>
    internal PageSeal NewSeal() => new(new ReadOnlySpan<byte>(_key, KeyBytes));

    /// <summary>The device fails: all connections are broken.</summary>
    internal void Fail(string why) => _ = Interlocked.CompareExchange(ref _failReason, why, null);

    internal void NoteRead(int pages) => Interlocked.Add(ref _pagesRead, pages);

    internal void NoteWritten(int pages) => Interlocked.Add(ref _pagesWritten, pages);

    internal void NoteLost() => Interlocked.Increment(ref _pagesLost);

    internal void NoteHeld(int change, string? why)
    {
        _heldReason = why ?? _heldReason;
        _ = Interlocked.Add(ref _writesHeld, change);
    }

    private int Allocate(long bytes, out ulong slab)
    {
        slab = 0;
        for (SpillSlab? released = Interlocked.Exchange(ref _released, null); released is not null; released = released.Next)
        {
            _ranges.Return(released.Offset);
        }

        if (_isDisposed || _failReason is not null || _serial == uint.MaxValue)
        {
            return Errno.EIO;
        }

        if (AllocatedBytes > BytesMax - bytes)
        {
            return Errno.ENOSPC;
        }

        long offset = _ranges.Take(bytes);
        _ = Interlocked.Add(ref _allocatedBytes, bytes);
        int errno = Reserve(offset, bytes);
        if (errno == 0)
        {
            try
            {
                slab = ++_serial;
                _slabs[slab] = new SpillSlab(_serial, offset, (uint)(bytes >> PageSize.Shift), Release);
                return 0;
            }
            catch (InsufficientMemoryException)
            {
                (slab, errno) = (0, Errno.ENOMEM);
            }
        }

        // It may have got some of the blocks.
        GiveBack(offset, bytes);
        _ranges.Return(offset);
        return errno;
    }

    private int Reserve(long offset, long bytes)
    {
        // Whoever goes beyond it gets a signal that ends the process.
        ResourceLimit limit;
        if (Libc.GetResourceLimit(Libc.RLIMIT_FSIZE, &limit) == 0 && (ulong)(offset + bytes) > limit.Current)
        {
            return Errno.EFBIG;
        }

        int interruptions = 0;
        for (long done = 0; done < bytes;)
        {
            long part = Math.Min(bytes - done, ReserveBytes);
            if (Libc.ChangeBlocks((int)Handle.DangerousGetHandle(), 0, offset + done, part) == 0)
            {
                done += part;
                continue;
            }

            int errno = Libc.Errno;
            if (errno != Errno.EINTR || ++interruptions > InterruptionsMax)
            {
                return errno;
            }
        }

        return 0;
    }

    /// <summary>On the thread of its last user, which may be a connection's: waits for nobody.</summary>
    private void Release(SpillSlab slab)
    {
        GiveBack(slab.Offset, (long)slab.Slots << PageSize.Shift);
        SpillSlab? head = Volatile.Read(ref _released);
        while (true)
        {
            slab.Next = head;
            SpillSlab? seen = Interlocked.CompareExchange(ref _released, slab, head);
            if (seen == head)
            {
                return;
            }

            head = seen;
        }
    }

    private void GiveBack(long offset, long bytes)
    {
        bool isReferenced = false;
        try
        {
            Handle.DangerousAddRef(ref isReferenced);
            _ = Libc.ChangeBlocks((int)Handle.DangerousGetHandle(), Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, offset, bytes);
        }
        catch (ObjectDisposedException)
        {
            // All of it went with the file.
        }
        finally
        {
            if (isReferenced)
            {
                Handle.DangerousRelease();
            }
        }

        _ = Interlocked.Add(ref _allocatedBytes, -bytes);
    }
}
