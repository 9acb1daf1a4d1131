using System.Runtime.InteropServices;

namespace Hecatonchire.Native;

/// <summary>
/// Owns a segment. The handle is its address; releasing it gives pages, address space and slots back, once, after the
/// last call that uses it has returned.
/// </summary>
internal sealed unsafe class SegmentHandle : SafeHandle
{
    public SegmentHandle()
        : base(0, ownsHandle: true)
    {
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>A new segment of <paramref name="bytes"/>, zeroed.</summary>
    /// <exception cref="SponsoredMemoryException">See heca.h for the errno values.</exception>
    public static SegmentHandle Allocate(ulong bytes, ulong reserveBytes)
    {
        HecaLibrary.EnsureLoaded();
        var segment = new SegmentHandle();
        void* address = null;
        HecaErrno.ThrowIfFailed(HecaLibrary.SegmentAllocate(bytes, reserveBytes, &address), "allocating sponsored memory");
        segment.SetHandle((nint)address);
        return segment;
    }

    /// <summary>May run on the finalizer thread: it waits for the pager there, in preemptive mode.</summary>
    protected override bool ReleaseHandle() => HecaLibrary.SegmentFree((void*)handle) == 0;
}
