using Hecatonchire.Metrics;

namespace Hecatonchire.Bench;

/// <summary>The percentiles of a report, microseconds.</summary>
internal sealed record LatencySummary(double P50, double P90, double P99, double P999, double Max)
{
    /// <summary>Null for a histogram without records.</summary>
    public static LatencySummary? Of(LatencyHistogram? nanoseconds) => nanoseconds is null || nanoseconds.Count == 0
        ? null
        : new(
            Microseconds(nanoseconds.Percentile(0.5)), Microseconds(nanoseconds.Percentile(0.9)), Microseconds(nanoseconds.Percentile(0.99)),
            Microseconds(nanoseconds.Percentile(0.999)), Microseconds(nanoseconds.Max));

    private static double Microseconds(long nanoseconds) => Math.Round(nanoseconds / 1000.0, 2);
}
