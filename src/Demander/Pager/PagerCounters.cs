using Hecatonchire.Prefetch;

namespace Hecatonchire.Pager;

/// <summary>The pager thread's counters: plain fields with one writer, read by anyone at any time.</summary>
internal sealed class PagerCounters
{
    public long Faults;
    public long HardFaults;
    public long ZeroFills;

    /// <summary>First writes to pages that had come in unchanged.</summary>
    public long WriteFaults;
    public long PagesIn;
    public long PagesOut;
    public long PagesDropped;

    /// <summary>Of <see cref="PagesOut"/>, pages written back ahead of need.</summary>
    public long PagesCleaned;
    public long PagesPrefetched;
    public long PagesLost;

    /// <summary>Pages that were there when their range was captured.</summary>
    public long PagesAdopted;

    /// <summary>Forks of the program that the pager has followed.</summary>
    public long Forks;

    public long StagingHits;
    public long RoomWaits;
    public long ResidentPeakPages;
    public long InProgramPages;
    public long DepartingPages;
    public long RemotePages;
    public long SegmentPages;
    public long AllowancePages;
    public long PrefetchUsed;
    public long PrefetchWasted;
    public int LastProgramErrno;

    /// <summary>How often all pages were found in use by something else, so that the program had to grow above its bound.</summary>
    public long SharedRounds;

    public void Publish(long inProgram, long departing, long segmentPages, long allowance, IPrefetchPolicy prefetch)
    {
        InProgramPages = inProgram;
        DepartingPages = departing;
        SegmentPages = segmentPages;
        AllowancePages = allowance;
        PrefetchUsed = prefetch.Used;
        PrefetchWasted = prefetch.Wasted;
    }
}
