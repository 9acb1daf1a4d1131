using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Ratios;

/// <summary>
/// A time of heca by a time of something else that was measured in the same round: it says something about heca alone, and stays
/// what it is on a machine that is faster, or busier for a while. More is worse.
/// </summary>
/// <param name="Name">In the file.</param>
/// <param name="What">For people.</param>
/// <param name="Tolerance">How much more than expected it may be, as a share, unless the file says otherwise.</param>
/// <param name="Of">From what one round measured; null where something is missing.</param>
internal sealed record RatioDefinition(string Name, string What, double Tolerance, Func<RatioRound, double?> Of)
{
    /// <summary>
    /// Each pair is bound by the same thing, so that the ratio is stable from machine to machine as well. Faults and the scan have the floor, a
    /// bare pager with the same system calls. The random walk has the floor's median fault per page that it fetched: local
    /// memory would compare a pager with caches and TLBs, a ratio of hundreds that changes with every machine. Quicksort is bound by the
    /// processor, so local memory is right for it. There is no p99.9 and no maximum: on a host with other guests they are the
    /// hypervisor's.
    /// </summary>
    public static IReadOnlyList<RatioDefinition> All { get; } =
    [
        new("fault_p50_by_floor", "single fault, p50, by the floor's", 0.15, round => round.Touch(SuiteSystems.Heca, 50) / round.Touch(SuiteSystems.Floor, 50)),
        new("fault_p99_by_floor", "single fault, p99, by the floor's", 0.5, round => round.Touch(SuiteSystems.Heca, 99) / round.Touch(SuiteSystems.Floor, 99)),
        new("scan_by_floor", "scan, time per page, by the floor's", 0.4,
            round => round.Scan(SuiteSystems.Floor)?.PagesPerS / round.Scan(SuiteSystems.Heca)?.PagesPerS),
        new("random_walk_by_floor_fault", "random walk, 4 threads, time per page fetched, by the floor's p50", 0.3,
            round => round.Walk(SuiteSystems.Heca) is { PagesIn: > 0 } walk ? walk.ElapsedS * 1e6 / walk.PagesIn / round.Touch(SuiteSystems.Floor, 50) : null),
        new("quicksort_by_local", "quicksort at 1:4, by local memory", 0.15,
            round => round.Sort(SuiteSystems.Heca)?.ElapsedS / round.Sort(SuiteSystems.Local)?.ElapsedS),
    ];

    /// <summary>The median of the rounds' ratios, with their spread; null unless all rounds have one.</summary>
    public Spread? Measure(SuiteResults results)
    {
        double?[] rounds = [.. Enumerable.Range(1, results.Settings.Runs).Select(round => Of(new RatioRound(results, round)))];
        return rounds.Any(ratio => ratio is null) ? null : Spread.Of(rounds.OfType<double>());
    }
}
