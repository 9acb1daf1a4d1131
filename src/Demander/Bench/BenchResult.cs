namespace Hecatonchire.Bench;

/// <summary>
/// Processor time in the measured part, seconds. The sponsor's is known only of an embedded one. The host's is that of all its
/// CPUs, whoever they worked for: the only place where kernel swap's own threads appear.
/// </summary>
internal sealed record CpuSeconds(double Worker, double Pager, double? Sponsor, double? Host = null);

/// <summary>
/// What a benchmark reports, in the order and (in snake_case) with the names of the JSON. Counts are of the measured part;
/// the two peaks are of the whole run, fill and verification included.
/// </summary>
internal sealed record BenchResult
{
    public required string Benchmark { get; init; }

    /// <summary>See <see cref="MemorySystemNames"/>.</summary>
    public required string System { get; init; }

    /// <summary>Empty where the system is not heca.</summary>
    public required string Transport { get; init; }
    public required long SizeBytes { get; init; }
    public required long LocalBytes { get; init; }
    public required int Threads { get; init; }
    public required ulong Seed { get; init; }

    /// <summary>Empty where the system is not heca.</summary>
    public required string Prefetch { get; init; }
    public required string Eviction { get; init; }
    public required double ElapsedS { get; init; }
    public double? BaselineS { get; init; }
    public double? OverheadPct { get; init; }

    /// <summary>Random-walk, zipf and fault: words touched. Scan: pages. Quicksort: integers looked at while dividing and inserting.</summary>
    public required long Accesses { get; init; }
    public required double AccessesPerS { get; init; }

    /// <summary>Under swap what the kernel counts for the whole host; it does not count what was dropped clean or read ahead in vain.</summary>
    public required long PagesIn { get; init; }
    public required long PagesOut { get; init; }
    public required long PagesPrefetched { get; init; }
    public required long PrefetchUsed { get; init; }
    public required long PrefetchWasted { get; init; }
    public required long PagesDropped { get; init; }

    /// <summary>Scan: pages gone over, resident or not. Else: pages fetched.</summary>
    public required double PagesPerS { get; init; }

    /// <summary>Of systems other than heca the kernel's major faults.</summary>
    public required long Faults { get; init; }

    /// <summary>Of the data. Systems other than heca are asked only before and after the measured part.</summary>
    public required long ResidentPeakBytes { get; init; }

    /// <summary>
    /// After the measured part, on the swap device: of zram and zswap the host's memory that the pages take compressed. Null without swap.
    /// </summary>
    public long? DeviceBytes { get; init; }

    /// <summary>In the pager: from reading the fault to the page being installed. Null without faults.</summary>
    public LatencySummary? FaultUs { get; init; }

    /// <summary>As the touching thread sees it; the fault benchmark only.</summary>
    public LatencySummary? TouchUs { get; init; }

    /// <summary>The same touches as a curve.</summary>
    public LatencyPoint[]? TouchPercentiles { get; init; }
    public LatencySummary? FloorUs { get; init; }
    public double? FloorPagesPerS { get; init; }

    /// <summary>Fault: touch_us.p50 by floor_us.p50. Scan: pages_per_s by floor_pages_per_s.</summary>
    public double? FloorRatio { get; init; }

    /// <summary>Of a fault benchmark that was asked for it.</summary>
    public FaultStage[]? Breakdown { get; init; }
    public required bool Verified { get; init; }
    public required long WorkerRssPeakBytes { get; init; }
    public required CpuSeconds CpuS { get; init; }
}
