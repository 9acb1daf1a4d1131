using Hecatonchire.Interop;
using Hecatonchire.Transport.Spill;
using Hecatonchire.Units;
using Microsoft.Win32.SafeHandles;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>The disk's own view of a spill file: what is in it, and what could happen to it there.</summary>
internal sealed unsafe class RawSpill(SpillFile file) : IDisposable
{
    private readonly SafeFileHandle _handle = File.OpenHandle(
        $"/proc/self/fd/{(int)file.Handle.DangerousGetHandle()}", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);

    /// <summary>In bytes, as du has it.</summary>
    public long Blocks => (long)Status()[8] * 512;

    public long Links => (long)Status()[2];

    public int Mode => (int)(uint)Status()[3];

    public static long OffsetOf(SpillFile file, ulong slab)
    {
        SpillSlab found = file.Enter(slab) ?? throw new InvalidOperationException("no such slab");
        found.Exit();
        return found.Offset;
    }

    public byte[] Read(ulong slab, uint slot, int pages)
    {
        byte[] bytes = new byte[pages * PageSize.Bytes];
        Assert.Equal(bytes.Length, RandomAccess.Read(_handle, bytes, At(slab, slot)));
        return bytes;
    }

    public void Write(ulong slab, uint slot, ReadOnlySpan<byte> bytes) => RandomAccess.Write(_handle, bytes, At(slab, slot));

    public void Flip(ulong slab, uint slot, int bit)
    {
        byte[] page = Read(slab, slot, 1);
        page[bit >> 3] ^= (byte)(1 << (bit & 7));
        Write(slab, slot, page);
    }

    public void Cut(long length) => RandomAccess.SetLength(_handle, length);

    /// <summary>Takes the blocks from a slab that it has reserved.</summary>
    public void Punch(ulong slab, long bytes) =>
        Assert.Equal(0, Libc.ChangeBlocks((int)_handle.DangerousGetHandle(), Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, OffsetOf(file, slab), bytes));

    /// <summary>How many pages of a slab the page cache has.</summary>
    public int PagesCached(ulong slab, int pages)
    {
        byte[] cached = new byte[pages];
        nuint bytes = (nuint)pages << PageSize.Shift;
        void* mapped = Libc.Map(null, bytes, Libc.PROT_READ, Libc.MAP_SHARED, (int)_handle.DangerousGetHandle(), OffsetOf(file, slab));
        fixed (byte* into = cached)
        {
            Assert.Equal(0, Libc.InCore(mapped, bytes, into));
        }

        _ = Libc.Unmap(mapped, bytes);
        return cached.Count(page => (page & 1) != 0);
    }

    public void Dispose() => _handle.Dispose();

    private long At(ulong slab, uint slot) => OffsetOf(file, slab) + ((long)slot << PageSize.Shift);

    private ulong[] Status()
    {
        ulong[] status = new ulong[18];
        fixed (ulong* into = status)
        {
            Assert.Equal(0, Libc.FileStatus((int)_handle.DangerousGetHandle(), into));
        }

        return status;
    }
}
