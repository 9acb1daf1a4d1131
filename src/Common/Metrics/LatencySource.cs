namespace Hecatonchire.Metrics;

/// <summary>
/// A latency histogram for export. <paramref name="Name"/> is the Prometheus name without unit (<c>heca_pager_fault_latency</c>;
/// <c>_seconds</c> is appended); <paramref name="Copy"/> fills the target with the records so far, at every scrape.
/// </summary>
internal sealed record LatencySource(string Name, string Help, Action<LatencyHistogram> Copy);
