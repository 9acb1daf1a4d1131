using System.Runtime.InteropServices;

namespace Hecatonchire.Install;

/// <summary>PAGEMAP_SCAN of linux/fs.h (6.7), as far as the pager uses it.</summary>
internal static class PagemapAbi
{
    public const nuint PAGEMAP_SCAN = 0xC0606610;

    public const ulong PAGE_IS_PRESENT = 1 << 3, PAGE_IS_SWAPPED = 1 << 4;
}

/// <summary>struct pm_scan_arg.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PagemapScan
{
    public ulong Size;
    public ulong Flags;
    public ulong Start;
    public ulong End;
    public ulong WalkEnd;
    public ulong Vector;
    public ulong VectorLength;
    public ulong MaxPages;
    public ulong CategoryInverted;
    public ulong CategoryMask;
    public ulong CategoryAnyOfMask;
    public ulong ReturnMask;
}

/// <summary>struct page_region.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct PagemapRegion
{
    public ulong Start;
    public ulong End;
    public ulong Categories;
}
