using Hecatonchire.Bench.Swap;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Eviction;
using Hecatonchire.Lending;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Hecatonchire.Transport;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Bench;

/// <summary>One benchmark as the user asked for it, checked.</summary>
internal sealed record BenchSettings
{
    public MemorySystem System { get; init; } = MemorySystem.Heca;

    public required WorkloadOptions Workload { get; init; }

    /// <summary>Without meaning to <see cref="MemorySystem.Local"/>.</summary>
    public required LocalBudget Local { get; init; }

    public PrefetchKind Prefetch { get; init; } = PrefetchKind.Trend;

    /// <summary>Where the swap file is made, of systems that have one.</summary>
    public string SwapDirectory { get; init; } = SwapFile.DefaultDirectory;

    /// <summary>Of <see cref="MemorySystem.Heca"/>.</summary>
    public DirtyTracking DirtyTracking { get; init; } = DirtyTracking.Protect;

    /// <summary>Of <see cref="MemorySystem.Heca"/>. Null: an embedded one.</summary>
    public Borrowing? Borrowing { get; init; }

    /// <summary>True: pages are sealed before they leave this host.</summary>
    public bool Seal { get; init; }

    /// <summary>Of <see cref="MemorySystem.Heca"/>.</summary>
    public TransportPreference Transport { get; init; }

    public EvictionKind Eviction { get; init; } = EvictionKinds.Default;

    /// <summary>The same work in local memory first.</summary>
    public bool Baseline { get; init; }

    /// <summary>heca-floor afterwards.</summary>
    public bool Floor { get; init; }

    /// <summary>Where the time of a hard fault goes; of <see cref="MemorySystem.Heca"/> and faults only.</summary>
    public bool Breakdown { get; init; }

    /// <summary>HOST:PORT for Prometheus while it runs; null: none.</summary>
    public string? Metrics { get; init; }
}
