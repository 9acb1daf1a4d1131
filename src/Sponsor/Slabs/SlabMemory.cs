using System.Runtime.InteropServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Sponsor.Slabs;

/// <summary>
/// The memory of one slab: anonymous and private, populated by the first write of each page, in huge pages where the host
/// has them, left out of core dumps. Unmapped at disposal, which must come after the data plane has let go of it.
/// </summary>
internal sealed unsafe class SlabMemory : SafeHandle
{
    public SlabMemory()
        : base(0, ownsHandle: true)
    {
    }

    public override bool IsInvalid => handle == 0;

    public long Bytes { get; private set; }

    public byte* Address => (byte*)handle;

    /// <summary>Maps so many bytes; false, with errno, where the kernel refuses (no address space, strict overcommit).</summary>
    public static bool TryMap(long bytes, out SlabMemory memory, out int errno)
    {
        memory = new SlabMemory();
        errno = 0;
        void* address = Libc.Map(
            null,
            (nuint)bytes,
            Libc.PROT_READ | Libc.PROT_WRITE,
            Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE,
            -1,
            0);
        if (address == (void*)-1)
        {
            errno = Libc.Errno;
            return false;
        }

        memory.handle = (nint)address;
        memory.Bytes = bytes;

        // Both are improvements that a kernel may be built without.
        _ = Libc.Advise(address, (nuint)bytes, Libc.MADV_HUGEPAGE);
        _ = Libc.Advise(address, (nuint)bytes, Libc.MADV_DONTDUMP);
        return true;
    }

    protected override bool ReleaseHandle() => Libc.Unmap((void*)handle, (nuint)Bytes) == 0;
}
