namespace Hecatonchire.Bench;

/// <summary>Memory as a program of the user gets it: through the public API, paged by the pager at HECA_SOCKET.</summary>
internal sealed unsafe class SponsoredBenchMemory(long bytes) : IBenchMemory
{
    private readonly SponsoredMemory<byte> _memory = SponsoredMemory<byte>.Allocate(bytes);

    public byte* Address => _memory.Pointer;

    public long Bytes => _memory.Length;

    public void PageOut(long offset, long length) => _memory.Advise(offset, length, SponsoredMemoryAdvice.PageOut);

    public bool IsHereUnasked(long offset) => false;

    public long? ResidentBytes() => null;

    public void Dispose() => _memory.Dispose();
}
