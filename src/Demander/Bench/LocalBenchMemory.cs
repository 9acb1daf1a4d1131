using Hecatonchire.Interop;

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

    public void Dispose()
    {
        if (_address != null)
        {
            _ = Libc.Unmap(_address, (nuint)Bytes);
            _address = null;
        }
    }
}
