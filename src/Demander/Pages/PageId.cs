using System.Runtime.CompilerServices;

namespace Hecatonchire.Pages;

/// <summary>A page of a session: the segment's number and the page's index in it, in 8 bytes.</summary>
internal readonly record struct PageId
{
    private const int PageBits = 40;

    private readonly ulong _bits;

    public PageId(int segment, long page) => _bits = ((ulong)(segment + 1) << PageBits) | (ulong)page;

    public bool IsNone => _bits == 0;

    public int Segment
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (int)(_bits >> PageBits) - 1;
    }

    public long Page
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (long)(_bits & ((1UL << PageBits) - 1));
    }

    /// <summary>Orders by segment, then by page: adjacent pages are adjacent in this order.</summary>
    public ulong Order => _bits;
}
