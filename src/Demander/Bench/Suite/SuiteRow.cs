using System.Globalization;
using Hecatonchire.Bench.Workloads;

namespace Hecatonchire.Bench.Suite;

/// <summary>One line of a table: the same work for several systems.</summary>
internal sealed record SuiteRow
{
    public required SuiteWork Work { get; init; }

    /// <summary>For people; without the size, which is the same in all rows.</summary>
    public required string Title { get; init; }

    /// <summary>Without the number of accesses or passes: that is found when the suite runs.</summary>
    public required WorkloadOptions Workload { get; init; }

    /// <summary>What may be resident, a share.</summary>
    public string Local { get; init; } = "1:4";

    /// <summary>Of heca.</summary>
    public string Prefetch { get; init; } = "trend";

    /// <summary>Of the floor's scan, pages.</summary>
    public int Window { get; init; } = FloorProcess.ScanWindow;

    public required IReadOnlyList<string> Systems { get; init; }

    /// <summary>Rows with the same name do the same amount of work.</summary>
    public string AmountName => Workload.Kind switch
    {
        WorkloadKind.RandomWalk or WorkloadKind.Zipf => string.Create(CultureInfo.InvariantCulture, $"{Workload.Kind.Name()}/w{Workload.WritePercent}/t{Workload.Threads}"),
        _ => Workload.Kind.Name(),
    };

    /// <summary>False where the work is what it is.</summary>
    public bool HasAmount => Workload.Kind != WorkloadKind.Quicksort;

    public IEnumerable<SuiteCell> Cells => Systems.Select(system => new SuiteCell(this, system));

    /// <summary>Null where the row has nothing of that system.</summary>
    public SuiteCell? Cell(string system) => Systems.Contains(system) ? new SuiteCell(this, system) : null;
}
