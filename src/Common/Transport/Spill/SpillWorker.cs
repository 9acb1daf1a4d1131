using Hecatonchire.Interop;
using Hecatonchire.Transport.Sealing;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Spill;

/// <summary>
/// A thread of a <see cref="SpillConnection"/>: seals and writes, reads and opens. Its memory is there from the beginning: to move a page out when memory is short takes none.
/// </summary>
internal sealed unsafe class SpillWorker : IDisposable
{
    /// <summary>How often a write that found the disk full is tried again.</summary>
    private const int HeldMs = 10;

    private static readonly nuint s_bufferBytes = (nuint)SpillConnection.RunPagesMax << PageSize.Shift;
    private static readonly nuint s_sealsBytes = (nuint)SpillConnection.RunPagesMax * (nuint)sizeof(SlotSeal);

    private readonly SpillConnection _connection;
    private readonly SpillFile _file;
    private readonly int _descriptor;
    private readonly PageSeal _seal;
    private readonly byte* _buffer = NativeMemoryMap.Populate(s_bufferBytes);
    private readonly SlotSeal* _seals = (SlotSeal*)NativeMemoryMap.Populate(s_sealsBytes);
    private readonly Thread _thread;

    public SpillWorker(SpillConnection connection, SpillFile file)
    {
        (_connection, _file, _descriptor) = (connection, file, (int)file.Handle.DangerousGetHandle());
        _seal = file.NewSeal();
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { Name = "heca-spill", IsBackground = true };
    }

    public void Start() => _thread.Start();

    /// <summary>Waits for its end; the connection has stopped.</summary>
    public void Dispose()
    {
        _thread.Join();
        _seal.Dispose();
        _ = Libc.Unmap(_buffer, s_bufferBytes);
        _ = Libc.Unmap(_seals, s_sealsBytes);
    }

    private void Run()
    {
        try
        {
            _connection.Serve(this);
        }
        catch (Exception e)
        {
            Environment.FailFast("a thread of the spill file ended by an exception: " + e.Message, e);
        }
    }

    /// <summary>Seals a run and writes it. Disconnected: the file has failed, or the connection is at its end.</summary>
    public DataStatus Write(SpillSlab slab, uint slot, int pages, byte* data)
    {
        int begun = 0;
        var wait = new SpinWait();
        while (begun < pages && !_connection.IsStopping)
        {
            ulong version = slab.TryBeginWrite(slot + (uint)begun);
            if (version == 0)
            {
                wait.SpinOnce();
                continue;
            }

            _seals[begun++].State = version;
        }

        if (begun < pages)
        {
            for (int i = 0; i < begun; i++)
            {
                slab.CancelWrite(slot + (uint)i);
            }

            return DataStatus.Disconnected;
        }

        bool isExhausted = false;
        for (int i = 0; i < pages; i++)
        {
            // Not in this life: at a million writes a second to one slot, in two years.
            isExhausted |= _seals[i].State > SpillSlab.VersionMask;
            _seal.Seal(slab.Serial, slot + (uint)i, _seals[i].Version, data + Bytes(i), _buffer + Bytes(i), Tag(i));
        }

        if (isExhausted)
        {
            _file.Fail("a slot of the spill file was written too often for one key");
        }

        bool isDone = !isExhausted && TryWrite(Bytes(pages), slab.Offset + Bytes(slot));
        for (int i = 0; i < pages; i++)
        {
            slab.EndWrite(slot + (uint)i, _seals[i]);
        }

        if (isDone)
        {
            _file.NoteWritten(pages);
        }

        return isDone ? DataStatus.Done : DataStatus.Disconnected;
    }

    /// <summary>Reads a run and opens it. Lost: at least one page of it is not what was written.</summary>
    public DataStatus Read(SpillSlab slab, uint slot, int pages, byte* data)
    {
        bool isWritten = false;
        for (int i = 0; i < pages; i++)
        {
            isWritten |= !slab.TryCopy(slot + (uint)i, out _seals[i]) || _seals[i].Version != 0;
        }

        int errno = isWritten ? TryRead(0, Bytes(pages), slab.Offset + Bytes(slot)) : 0;
        bool isWhole = true;
        for (int i = 0; i < pages; i++)
        {
            isWhole &= (slab.IsSame(slot + (uint)i, _seals[i]) && TryOpen(slab, slot, i, data, errno)) || TryReadAlone(slab, slot, i, data);
        }

        _file.NoteRead(pages);
        return isWhole ? DataStatus.Done : DataStatus.Lost;
    }

    private bool TryOpen(SpillSlab slab, uint first, int index, byte* data, int errno)
    {
        ref SlotSeal seal = ref _seals[index];
        if (seal.Version == 0)
        {
            // As with any sponsor; and nothing that a slab before it had there.
            new Span<byte>(data + Bytes(index), PageSize.Bytes).Clear();
            return true;
        }

        return errno == 0 && !SpillSlab.IsLost(seal)
            && _seal.TryOpen(slab.Serial, first + (uint)index, seal.Version, _buffer + Bytes(index), Tag(index), data + Bytes(index));
    }

    /// <summary>
    /// Once more, a page alone: it was being written when it was read with others, or something beside it cannot be read, or a bit fell over on the way. False when it is lost.
    /// </summary>
    private bool TryReadAlone(SpillSlab slab, uint first, int index, byte* data)
    {
        uint slot = first + (uint)index;
        var wait = new SpinWait();
        while (!_connection.IsStopping)
        {
            if (!slab.TryCopy(slot, out _seals[index]))
            {
                wait.SpinOnce();
                continue;
            }

            bool isLost = SpillSlab.IsLost(_seals[index]);
            int errno = isLost || _seals[index].Version == 0 ? 0 : TryRead(Bytes(index), PageSize.Bytes, slab.Offset + Bytes(slot));
            if (!slab.IsSame(slot, _seals[index]))
            {
                // What was read may be a part of each.
                continue;
            }

            if (!isLost && TryOpen(slab, first, index, data, errno))
            {
                return true;
            }

            if (!isLost && slab.TryLose(slot, _seals[index]))
            {
                _file.NoteLost();
                return false;
            }

            if (slab.IsSame(slot, _seals[index]))
            {
                return false;
            }
        }

        return false;
    }

    /// <summary>
    /// Writes the buffer. Where there is no room after all, or no memory to do it with, it is tried until there is: a write that failed would be the end of all else in the slab.
    /// </summary>
    private bool TryWrite(nint bytes, long offset)
    {
        bool isHeld = false;
        nint done = 0;
        while (done < bytes && !(isHeld && _connection.IsStopping))
        {
            nint count = Libc.WriteAt(_descriptor, _buffer + done, (nuint)(bytes - done), offset + done);
            if (count >= PageSize.Bytes)
            {
                // By whole pages: O_DIRECT wants that of what is left.
                done = (done + count) & -PageSize.Bytes;
                continue;
            }

            int errno = count < 0 ? Libc.Errno : count == 0 ? Errno.EIO : Errno.EAGAIN;
            if (errno == Errno.EINTR)
            {
                continue;
            }

            if (errno is not (Errno.ENOSPC or Errno.EDQUOT or Errno.ENOMEM or Errno.EAGAIN))
            {
                _file.Fail($"writing to the spill file at {_file.FilePath} failed: {Errno.Describe(errno)}");
                break;
            }

            if (!isHeld)
            {
                isHeld = true;
                _file.NoteHeld(1, Errno.Describe(errno));
            }

            _ = Libc.Poll(null, 0, HeldMs);
        }

        if (isHeld)
        {
            _file.NoteHeld(-1, null);
        }

        return done == bytes;
    }

    /// <summary>Reads into the buffer. 0, or the errno; EIO too where the file is shorter.</summary>
    private int TryRead(nint at, nint bytes, long offset)
    {
        nint done = 0;
        while (done < bytes)
        {
            nint count = Libc.ReadAt(_descriptor, _buffer + at + done, (nuint)(bytes - done), offset + done);
            if (count >= PageSize.Bytes)
            {
                done = (done + count) & -PageSize.Bytes;
                continue;
            }

            int errno = count < 0 ? Libc.Errno : Errno.EIO;
            if (errno is Errno.ENOMEM or Errno.EAGAIN && !_connection.IsStopping)
            {
                _ = Libc.Poll(null, 0, HeldMs);
            }
            else if (errno != Errno.EINTR)
            {
                return errno;
            }
        }

        return 0;
    }

    private byte* Tag(int index) => (byte*)(_seals + index) + sizeof(ulong);

    private static nint Bytes(long pages) => (nint)(pages << PageSize.Shift);
}
