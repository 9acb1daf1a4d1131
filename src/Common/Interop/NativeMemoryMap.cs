namespace Hecatonchire.Interop;

/// <summary>Mappings whose failure is an exceptional, cold-path matter.</summary>
internal static unsafe class NativeMemoryMap
{
    /// <summary>Anonymous private zeroed memory, populated at first touch. Throws <see cref="InsufficientMemoryException"/>.</summary>
    public static byte* Reserve(nuint bytes) =>
        Check(Libc.Map(null, bytes, Libc.PROT_READ | Libc.PROT_WRITE,
            Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0), bytes);

    /// <summary>Anonymous private memory that is populated now, for buffers of paths that must not allocate.</summary>
    public static byte* Populate(nuint bytes) =>
        Check(Libc.Map(null, bytes, Libc.PROT_READ | Libc.PROT_WRITE,
            Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_POPULATE, -1, 0), bytes);

    /// <summary>A shared mapping of a file.</summary>
    public static byte* Share(int descriptor, nuint bytes) =>
        Check(Libc.Map(null, bytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, descriptor, 0), bytes);

    /// <summary>Private memory of <paramref name="before"/> bytes made longer, at another address as a rule. Throws <see cref="InsufficientMemoryException"/>; it is as it was then.</summary>
    public static byte* Grow(void* memory, nuint before, nuint bytes) => Check(Libc.Remap(memory, before, bytes, Libc.MREMAP_MAYMOVE), bytes);

    private static byte* Check(void* address, nuint bytes) => (nint)address == -1
        ? throw new InsufficientMemoryException($"mmap of {bytes} bytes: {Errno.Describe(Libc.Errno)}")
        : (byte*)address;
}
