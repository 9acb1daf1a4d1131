namespace Hecatonchire.Bench.Workloads;

/// <summary>The benchmarks, and their names on the command line and in the report.</summary>
internal enum WorkloadKind
{
    Fault,
    Scan,
    RandomWalk,
    Zipf,
    Quicksort,
}

internal static class WorkloadNames
{
    public static string Name(this WorkloadKind kind) => kind switch
    {
        WorkloadKind.Fault => "fault",
        WorkloadKind.Scan => "scan",
        WorkloadKind.RandomWalk => "random-walk",
        WorkloadKind.Zipf => "zipf",
        _ => "quicksort",
    };

    /// <summary>False when no workload has that name.</summary>
    public static bool TryParse(string? name, out WorkloadKind kind)
    {
        foreach (WorkloadKind candidate in Enum.GetValues<WorkloadKind>())
        {
            if (candidate.Name() == name)
            {
                kind = candidate;
                return true;
            }
        }

        kind = default;
        return false;
    }
}
