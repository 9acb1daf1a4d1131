using System.Diagnostics;
using System.Runtime.InteropServices;
using Hecatonchire.Metrics;

namespace Hecatonchire.Bench;

/// <summary>
/// One stage of a hard fault, microseconds: its median, its mean, and its mean among the slowest hundredth of the faults, which
/// tells what makes those slow.
/// </summary>
internal sealed record FaultStage(string Stage, double P50, double Mean, double SlowMean);

/// <summary>
/// Where a hard fault's time goes, from the touching thread's clock and the pager's, which are the same. The stages follow each
/// other without a gap; the last row is their sum.
/// </summary>
internal static class FaultBreakdown
{
    private const double NanosecondsPerUs = 1000;

    private static readonly string[] s_stages =
    [
        "event and wake-up of the pager",
        "reading the event",
        "request",
        "network and sponsor",
        "copy and wake",
        "return to the program",
        "all",
    ];

    /// <summary>
    /// Joins what both sides recorded in the order of the faults. Null when they do not fit together: a pager that saw
    /// other faults than the touches.
    /// </summary>
    /// <param name="faults">The pager's records, the last as many as there are touches.</param>
    /// <param name="touches">Start and end of each touch, timestamps of <see cref="Stopwatch"/>.</param>
    public static FaultStage[]? Of(ReadOnlySpan<FaultTrace.Stages> faults, ReadOnlySpan<long> touches)
    {
        int count = touches.Length / 2;
        if (count == 0 || faults.Length < count)
        {
            return null;
        }

        // What came before are touches that were not measured.
        faults = faults[^count..];

        long[][] durations = [.. s_stages.Select(_ => new long[count])];
        for (int i = 0; i < count; i++)
        {
            ref readonly FaultTrace.Stages fault = ref faults[i];
            (long start, long end) = (touches[2 * i], touches[(2 * i) + 1]);
            ReadOnlySpan<long> moments = [start, Math.Max(fault.Awake, start), fault.Read, fault.Sent, fault.Received, fault.Installed, end];
            if (fault.Read < start || fault.Read > end)
            {
                return null;
            }

            for (int stage = 0; stage < s_stages.Length - 1; stage++)
            {
                // Where the program runs on another core it may go on before the pager has taken its last time.
                durations[stage][i] = Math.Max(0, moments[stage + 1] - moments[stage]);
            }

            durations[^1][i] = end - start;
        }

        int[] slowest = [.. Enumerable.Range(0, count).OrderByDescending(i => durations[^1][i]).Take(Math.Max(1, count / 100))];
        return [.. s_stages.Select((name, stage) => new FaultStage(
            name,
            Microseconds(Median(durations[stage])),
            Microseconds(durations[stage].Average()),
            Microseconds(slowest.Average(i => durations[stage][i]))))];
    }

    /// <summary>The touches a worker has left in a file: pairs of start and end.</summary>
    public static long[] ReadTouches(string path) => MemoryMarshal.Cast<byte, long>(File.ReadAllBytes(path)).ToArray();

    private static double Median(long[] values) => values.Order().ElementAt(values.Length / 2);

    private static double Microseconds(double ticks) => Math.Round(ticks * 1e9 / Stopwatch.Frequency / NanosecondsPerUs, 2);
}
