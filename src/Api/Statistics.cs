using System.Runtime.InteropServices;
using Hecatonchire.Native;

namespace Hecatonchire;

/// <summary>The pager's counters for this process. Pages are 4096 bytes; counters run from the start of the process.</summary>
[StructLayout(LayoutKind.Sequential)]
public readonly record struct SponsoredMemoryStatistics
{
    // struct heca_statistics of heca.h, field by field: Api.Tests compares the two.
    private readonly ulong _segmentBytes;
    private readonly ulong _residentBytes;
    private readonly ulong _remoteBytes;
    private readonly ulong _budgetBytes;
    private readonly ulong _residentPeakBytes;
    private readonly ulong _faults;
    private readonly ulong _pagesIn;
    private readonly ulong _pagesOut;
    private readonly ulong _pagesDropped;
    private readonly ulong _pagesPrefetched;
    private readonly ulong _prefetchUsed;
    private readonly ulong _prefetchWasted;
    private readonly ulong _pagesLost;
    private readonly Reserved _reserved;

    [System.Runtime.CompilerServices.InlineArray(3)]
    private struct Reserved
    {
        private ulong _first;
    }

    /// <summary>Bytes allocated, over all segments.</summary>
    public long SegmentBytes => (long)_segmentBytes;

    /// <summary>Bytes of pages in this process, those on their way out included.</summary>
    public long ResidentBytes => (long)_residentBytes;

    /// <summary>Bytes of pages whose only copy is on the sponsor.</summary>
    public long RemoteBytes => (long)_remoteBytes;

    /// <summary>The bound of <see cref="ResidentBytes"/> now.</summary>
    public long BudgetBytes => (long)_budgetBytes;

    /// <summary>The most that <see cref="ResidentBytes"/> has been.</summary>
    public long ResidentPeakBytes => (long)_residentPeakBytes;

    /// <summary>Touches of a missing page that reached the pager.</summary>
    public long Faults => (long)_faults;

    /// <summary>Pages fetched from the sponsor, prefetched ones included.</summary>
    public long PagesIn => (long)_pagesIn;

    /// <summary>Pages written to the sponsor.</summary>
    public long PagesOut => (long)_pagesOut;

    /// <summary>Pages evicted clean, without a write.</summary>
    public long PagesDropped => (long)_pagesDropped;

    /// <summary>Pages fetched ahead of a fault.</summary>
    public long PagesPrefetched => (long)_pagesPrefetched;

    /// <summary>Prefetched pages that were touched.</summary>
    public long PrefetchUsed => (long)_prefetchUsed;

    /// <summary>Prefetched pages that were evicted untouched.</summary>
    public long PrefetchWasted => (long)_prefetchWasted;

    /// <summary>Pages that no sponsor can return: touching one raises SIGBUS.</summary>
    public long PagesLost => (long)_pagesLost;

    /// <summary>Asks the pager for the counters.</summary>
    /// <exception cref="SponsoredMemoryException">No pager, or one of another version.</exception>
    public static unsafe SponsoredMemoryStatistics Read()
    {
        HecaLibrary.EnsureLoaded();
        SponsoredMemoryStatistics statistics;
        HecaErrno.ThrowIfFailed(HecaLibrary.StatisticsRead(&statistics), "reading the statistics of sponsored memory");
        return statistics;
    }
}
