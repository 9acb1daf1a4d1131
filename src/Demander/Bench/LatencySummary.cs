using Hecatonchire.Metrics;

namespace Hecatonchire.Bench;

/// <summary>So many percent of the records take at most <paramref name="Us"/> microseconds.</summary>
internal sealed record LatencyPoint(double Percent, double Us);

/// <summary>The percentiles of a report, microseconds.</summary>
internal sealed record LatencySummary(double P50, double P90, double P99, double P999, double Max)
{
    private static readonly double[] s_percents =
        [1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99];

    /// <summary>Null for a histogram without records.</summary>
    public static LatencySummary? Of(LatencyHistogram? nanoseconds) => nanoseconds is null || nanoseconds.Count == 0
        ? null
        : new(
            Microseconds(nanoseconds.Percentile(0.5)), Microseconds(nanoseconds.Percentile(0.9)), Microseconds(nanoseconds.Percentile(0.99)),
            Microseconds(nanoseconds.Percentile(0.999)), Microseconds(nanoseconds.Max));

    /// <summary>
    /// The distribution at fixed percentages, for a curve; null for a histogram without records. A percentage that fewer than
    /// one record lies above is left out: it would only say the maximum again.
    /// </summary>
    public static LatencyPoint[]? PercentilesOf(LatencyHistogram? nanoseconds) => nanoseconds is null || nanoseconds.Count == 0
        ? null
        : [.. s_percents
            .Where(percent => Math.Round(nanoseconds.Count * (100 - percent)) >= 100)
            .Select(percent => new LatencyPoint(percent, Microseconds(nanoseconds.Percentile(percent / 100))))];

    private static double Microseconds(long nanoseconds) => Math.Round(nanoseconds / 1000.0, 2);
}
