using Hecatonchire.Units;

namespace Hecatonchire.Bench.Workloads;

/// <summary>What a workload does; the same values give the same data and the same accesses.</summary>
internal sealed record WorkloadOptions
{
    public const int ThreadsMax = 256;
    public const int PassesMax = 1000;
    public const int SparseMax = 1024;

    /// <summary>As in YCSB.</summary>
    public const double ThetaDefault = 0.99;

    /// <summary>A touch that is one of so many is measured alone: more would only lengthen the run.</summary>
    public const long FaultAccessesDefaultMax = 100_000;

    public required WorkloadKind Kind { get; init; }

    /// <summary>Whole pages.</summary>
    public required long Bytes { get; init; }

    public int Threads { get; init; } = 1;

    public ulong Seed { get; init; } = 1;

    /// <summary>Random-walk and zipf: steps of all threads together. Fault: touches, at most one per page. Null: as many as sensible.</summary>
    public long? Accesses { get; init; }

    /// <summary>Random-walk and zipf: percent of the steps that write.</summary>
    public int WritePercent { get; init; } = 20;

    /// <summary>Zipf: how uneven, above 0 and below 1.</summary>
    public double Theta { get; init; } = ThetaDefault;

    /// <summary>Scan: how often it goes over the memory.</summary>
    public int Passes { get; init; } = 2;

    /// <summary>Fault: only one page in so many is used; the memory is that much larger than <see cref="Bytes"/>.</summary>
    public int Sparse { get; init; } = 1;

    /// <summary>Fault: keeps the touching thread on one core.</summary>
    public bool Pin { get; init; }

    /// <summary>Fault: a file for the start and end of every touch; null: none.</summary>
    public string? TouchesFile { get; init; }

    /// <summary>Pages that are used.</summary>
    public long Pages => Bytes / PageSize.Bytes;

    public long MemoryBytes => Bytes * Sparse;

    /// <summary>As many as sensible, unless given.</summary>
    public long AccessesInEffect => Accesses
        ?? (Kind == WorkloadKind.Fault ? Math.Min(Pages, FaultAccessesDefaultMax) : 2 * Pages);
}
