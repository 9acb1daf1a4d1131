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
/// other without a gap; the row below them is their sum, and the last what a transport is compared by.
/// </summary>
internal static class FaultBreakdown
{
    private const double NanosecondsPerUs = 1000;

    private static readonly string[] s_stages =
    [
        "event and wake-up of the pager",
        "reading the event",
        "page table and policy",
        "sending the request",
        "network and sponsor",
        "copy and wake",
        "return to the program",
        "all",
        "of it, from sending to the page",
    ];

    /// <summary>
    /// Joins what both sides recorded, by time. A touch that met no hard fault is left out. Null when that is more than a tenth of
    /// them: a pager that saw other faults than the touches.
    /// </summary>
    /// <param name="faults">The pager's records, in their order.</param>
    /// <param name="touches">Start and end of each touch, timestamps of <see cref="Stopwatch"/>.</param>
    public static FaultStage[]? Of(ReadOnlySpan<FaultTrace.Stages> faults, ReadOnlySpan<long> touches)
    {
        (int count, int capacity) = (0, faults.Length);
        long[][] durations = [.. s_stages.Select(_ => new long[capacity])];
        for (int touch = 0; touch < touches.Length / 2; touch++)
        {
            (long start, long end) = (touches[2 * touch], touches[(2 * touch) + 1]);
            while (faults.Length > 0 && faults[0].Read < start)
            {
                faults = faults[1..];
            }

            if (faults.Length == 0 || faults[0].Read > end)
            {
                continue;
            }

            ref readonly FaultTrace.Stages fault = ref faults[0];
            ReadOnlySpan<long> moments =
                [start, Math.Max(fault.Awake, start), fault.Read, fault.Posted, fault.Sent, fault.Received, fault.Installed, end];
            for (int stage = 0; stage < moments.Length - 1; stage++)
            {
                // Where the program runs on another core it may go on before the pager has taken its last time.
                durations[stage][count] = Math.Max(0, moments[stage + 1] - moments[stage]);
            }

            durations[^2][count] = end - start;
            durations[^1][count] = fault.Received - fault.Posted;
            count++;
        }

        if (count == 0 || count < touches.Length / 2 * 9 / 10)
        {
            return null;
        }

        durations = [.. durations.Select(all => all[..count])];
        int[] slowest = [.. Enumerable.Range(0, count).OrderByDescending(i => durations[^2][i]).Take(Math.Max(1, count / 100))];
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
