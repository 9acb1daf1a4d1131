using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Swap;

/// <summary>Ordinary memory that the kernel swaps.</summary>
internal sealed unsafe class SwappedBenchMemory(long bytes) : IBenchMemory
{
    private readonly LocalBenchMemory _memory = new(bytes);

    public byte* Address => _memory.Address;

    public long Bytes => _memory.Bytes;

    /// <summary>Nothing: the limit has pushed out what it had to.</summary>
    public void PageOut(long offset, long length)
    {
    }

    /// <summary>mincore also sees the swap cache: pages that were read ahead, or are still being written.</summary>
    public bool IsHereUnasked(long offset)
    {
        byte here;
        return Libc.InCore(Address + offset, PageSize.Bytes, &here) == 0 && (here & 1) != 0;
    }

    public long? ResidentBytes() => _memory.ResidentBytes();

    public void Dispose() => _memory.Dispose();
}
