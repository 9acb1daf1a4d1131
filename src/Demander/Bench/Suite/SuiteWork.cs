namespace Hecatonchire.Bench.Suite;

/// <summary>The parts of the suite.</summary>
internal enum SuiteWork
{
    Fault,
    Scan,
    RandomWalk,
    Zipf,
    Quicksort,

    /// <summary>The scan again, with the floor's windows and heca's prefetch policies.</summary>
    Window,

    /// <summary>The random walk again, by more and more threads.</summary>
    Threads,
}

internal static class SuiteWorkNames
{
    /// <summary>As in --work.</summary>
    public static string Name(this SuiteWork work) => work switch
    {
        SuiteWork.Fault => "fault",
        SuiteWork.Scan => "scan",
        SuiteWork.RandomWalk => "random-walk",
        SuiteWork.Zipf => "zipf",
        SuiteWork.Quicksort => "quicksort",
        SuiteWork.Window => "window",
        _ => "threads",
    };

    public static IReadOnlyList<string> All { get; } = [.. Enum.GetValues<SuiteWork>().Select(Name)];
}
