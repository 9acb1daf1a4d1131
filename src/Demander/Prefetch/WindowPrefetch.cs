using Hecatonchire.Pages;

namespace Hecatonchire.Prefetch;

/// <summary>
/// A fixed window around the faulting page, as the first Hecatonchire did: the other pages of its aligned block. Used and
/// wasted are known by the marker, the first page of the block that was fetched.
/// </summary>
internal sealed class WindowPrefetch : IPrefetchPolicy
{
    /// <summary>Pages of a block: at 16 a wasted window costs about what two demand fetches cost.</summary>
    public const int BlockPages = 16;

    /// <summary>Windows remembered until their marker is touched; an older one counts as wasted.</summary>
    private const int Remembered = 256;

    private readonly int[] _issued = new int[Remembered];
    private int _next;

    public long Used { get; private set; }

    public long Wasted { get; private set; }

    public PrefetchWindow OnFault(int thread, PageId page, int windowMax)
    {
        int stream = _next;
        _next = (_next + 1) % Remembered;
        Wasted += _issued[stream];
        _issued[stream] = 0;
        int count = Math.Min(BlockPages, windowMax);
        return count < 2 ? PrefetchWindow.None : new PrefetchWindow(page.Page & ~(long)(BlockPages - 1), count, 1, stream);
    }

    public PrefetchWindow OnHit(int stream, PageId page, int windowMax)
    {
        Used += _issued[stream];
        _issued[stream] = 0;
        return PrefetchWindow.None;
    }

    public void Issued(int stream, int pages, long end) => _issued[stream] = pages;
}
