using System.Text.Json;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Suite;

/// <summary>
/// How much work a row is: the same for all its systems, and so much that the slowest has enough for the time it may take.
/// What that one can do is tried beforehand, in a smaller memory.
/// </summary>
internal static class SuiteAmounts
{
    private const long TrialSizeMax = 128L << 20;
    private const int TrialAccesses = 5_000;

    /// <summary>Fewer say nothing about the last percents.</summary>
    private const int TouchesMin = 1_000;

    private const int AccessesMin = 10_000;

    /// <summary>Beyond it more accesses make no difference: every page was touched often.</summary>
    private const int AccessesPerPageMax = 8;

    private const int PassesMax = 4;

    /// <summary>Where it does not depend on the host; null where it is to be tried.</summary>
    public static long? Fixed(SuiteRow row, SuiteScale scale) => (scale, row.Workload.Kind) switch
    {
        (SuiteScale.Full, _) => null,
        (SuiteScale.Quick, WorkloadKind.Fault) => Math.Min(4_000, row.Workload.Pages),
        (SuiteScale.Quick, WorkloadKind.Scan) => 2,
        (SuiteScale.Quick, _) => 20_000,
        (_, WorkloadKind.Fault) => Math.Min(50_000, row.Workload.Pages),
        (_, WorkloadKind.Scan) => 4,
        _ => 200_000,
    };

    /// <summary>The cell to try and what it is to do; null where no system of the row says anything about the others.</summary>
    public static (SuiteCell Cell, SuiteSettings Settings, long Amount)? Trial(SuiteRow row, SuiteSettings settings, IReadOnlySet<string> unusable)
    {
        SuiteCell? slowest = SuiteSystems.SlowestFirst.Where(s => !unusable.Contains(s)).Select(row.Cell).FirstOrDefault(cell => cell is not null);
        long bytes = Math.Min(settings.SizeBytes, TrialSizeMax);
        long amount = row.Workload.Kind == WorkloadKind.Scan ? 1 : Math.Min(TrialAccesses, bytes / PageSize.Bytes);
        return slowest is null ? null : (slowest, settings with { SizeBytes = bytes }, amount);
    }

    /// <summary>The row's amount, to two digits. <paramref name="perSecond"/>: accesses, touches or pages; null when nothing is known.</summary>
    public static long For(SuiteRow row, double? perSecond, double seconds)
    {
        long pages = row.Workload.Pages;
        double possible = (perSecond ?? 0) * seconds;
        return row.Workload.Kind switch
        {
            WorkloadKind.Scan => Math.Clamp((long)(possible / pages), 1, PassesMax),
            WorkloadKind.Fault => Rounded(Math.Clamp((long)possible, TouchesMin, Math.Min(pages, WorkloadOptions.FaultAccessesDefaultMax))),
            _ => Rounded(Math.Clamp((long)possible, AccessesMin, AccessesPerPageMax * pages)),
        };
    }

    /// <summary>What a trial's output says about the speed; null if nothing.</summary>
    public static double? PerSecond(JsonElement output) => Measurement.Of(output).AccessesPerS;

    private static long Rounded(long number)
    {
        long unit = 1;
        while (number / unit >= 100)
        {
            unit *= 10;
        }

        return number / unit * unit;
    }
}
