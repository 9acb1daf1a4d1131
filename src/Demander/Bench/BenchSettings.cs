using Hecatonchire.Bench.Workloads;
using Hecatonchire.Eviction;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;

namespace Hecatonchire.Bench;

/// <summary>One benchmark as the user asked for it, checked.</summary>
internal sealed record BenchSettings
{
    public required WorkloadOptions Workload { get; init; }

    public required LocalBudget Local { get; init; }

    public PrefetchKind Prefetch { get; init; } = PrefetchKind.Trend;

    /// <summary>Null: an embedded one.</summary>
    public SponsorEndpoint? Sponsor { get; init; }

    public EvictionKind Eviction { get; init; } = EvictionKind.Fifo;

    /// <summary>The same work in local memory first.</summary>
    public bool Baseline { get; init; }

    /// <summary>heca-floor afterwards.</summary>
    public bool Floor { get; init; }

    /// <summary>HOST:PORT for Prometheus while it runs; null: none.</summary>
    public string? Metrics { get; init; }
}
