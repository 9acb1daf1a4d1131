using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Bench;

/// <summary>
/// Anonymous memory in small pages, as sponsored memory has them: huge ones would make the baseline a comparison of page sizes.
/// </summary>
internal sealed unsafe class LocalBenchMemory : IBenchMemory
{
    private byte* _address;

    /// <summary>Throws <see cref="InsufficientMemoryException"/> without address space for <paramref name="bytes"/>.</summary>
    public LocalBenchMemory(long bytes)
    {
        _address = NativeMemoryMap.Reserve((nuint)bytes);
        Bytes = bytes;

        // EINVAL on a kernel without huge pages, where there is nothing to switch off.
        _ = Libc.Advise(_address, (nuint)bytes, Libc.MADV_NOHUGEPAGE);
    }

    public byte* Address => _address;

    public long Bytes { get; }

    public void PageOut(long offset, long length)
    {
    }

    public bool IsHereUnasked(long offset) => false;

    public long? ResidentBytes()
    {
        const int pagesPerCall = 4096;
        byte* pages = stackalloc byte[pagesPerCall];
        long resident = 0;
        for (long offset = 0; offset < Bytes; offset += pagesPerCall * PageSize.Bytes)
        {
            long length = Math.Min(pagesPerCall * PageSize.Bytes, Bytes - offset);
            if (Libc.InCore(_address + offset, (nuint)length, pages) < 0)
            {
                throw new IOException($"mincore: {Errno.Describe(Libc.Errno)}");
            }

            foreach (byte page in new ReadOnlySpan<byte>(pages, (int)(length / PageSize.Bytes)))
            {
                resident += (page & 1) * PageSize.Bytes;
            }
        }

        return resident;
    }

    public void Dispose()
    {
        if (_address != null)
        {
            _ = Libc.Unmap(_address, (nuint)Bytes);
            _address = null;
        }
    }
}
