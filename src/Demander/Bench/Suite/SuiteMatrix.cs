using System.Globalization;
using Hecatonchire.Bench.Workloads;

namespace Hecatonchire.Bench.Suite;

/// <summary>All rows of the suite under given settings.</summary>
internal static class SuiteMatrix
{
    /// <summary>Percent of the random walk's accesses that write, where some do.</summary>
    private const int Writes = 20;

    private const int ZipfThreads = 4;

    /// <summary>What takes single pages or windows: the floor writes nothing back and has no threads.</summary>
    private static readonly string[] s_all = [.. SuiteSystems.All];

    private static readonly string[] s_withoutFloor = [.. SuiteSystems.All.Where(s => s != SuiteSystems.Floor)];

    /// <summary>The values that rows of one kind differ in.</summary>
    private sealed record Part(int[] WalkThreads, int[] WalkWrites, string[] Ratios, int[] Windows, string[] Prefetch, int[] Threads);

    private static Part PartOf(SuiteScale scale) => scale switch
    {
        SuiteScale.Full => new([1, 4], [0, Writes], ["3:4", "1:2", "1:3", "1:4", "1:5"], [16, 32, 64, 128, 256], ["none", "window", "trend"], [1, 2, 4, 8]),
        SuiteScale.Quick => new([4], [Writes], ["1:4"], [16, 64], ["trend"], [1, 4]),
        _ => new([4], [Writes], ["1:4"], [], [], []),
    };

    /// <summary>Whether `heca bench check` has a ratio with it.</summary>
    private static bool IsCompared(SuiteWork work, string system) =>
        system == SuiteSystems.Heca || system == (work is SuiteWork.Fault or SuiteWork.Scan ? SuiteSystems.Floor : work == SuiteWork.Quicksort ? SuiteSystems.Local : "");

    /// <summary>Rows of which no system was chosen are left out.</summary>
    public static IReadOnlyList<SuiteRow> Rows(SuiteSettings settings)
    {
        Part part = PartOf(settings.Scale);
        IEnumerable<SuiteRow> rows =
        [
            Row(SuiteWork.Fault, "single faults", WorkloadKind.Fault, s_all) with { Prefetch = "none" },
            Row(SuiteWork.Scan, "scan", WorkloadKind.Scan, s_all),
            .. RandomWalks(part.WalkThreads, part.WalkWrites),
            Walk(WorkloadKind.Zipf, SuiteWork.Zipf, "zipf 0.99", ZipfThreads, Writes, s_withoutFloor),
            .. Quicksorts(part.Ratios),
            .. Windows(part.Windows, part.Prefetch),
            .. Scaling(part.Threads),
        ];
        return
        [
            .. rows
                .Where(row => settings.Work.Contains(row.Work.Name()))
                .Select(row => row with
                {
                    Systems = [.. row.Systems.Where(s => settings.Systems.Contains(s) && (settings.Scale != SuiteScale.Check || IsCompared(row.Work, s)))],
                    Workload = row.Workload with { Bytes = settings.SizeBytes, Seed = settings.Seed, Pin = row.Work == SuiteWork.Fault && Environment.ProcessorCount >= 2 },
                })
                .Where(row => row.Systems.Count > 0),
        ];
    }

    /// <summary>Every cell once, in the order of a round.</summary>
    public static IReadOnlyList<SuiteCell> Cells(IEnumerable<SuiteRow> rows) => [.. rows.SelectMany(row => row.Cells).DistinctBy(cell => cell.Id)];

    private static SuiteRow Row(SuiteWork work, string title, WorkloadKind kind, IReadOnlyList<string> systems) => new()
    {
        Work = work,
        Title = title,
        Workload = new WorkloadOptions { Kind = kind, Bytes = 0, Passes = 1 },
        Systems = systems,
    };

    private static IEnumerable<SuiteRow> RandomWalks(int[] threads, int[] writes) =>
        from t in threads from w in writes select Walk(WorkloadKind.RandomWalk, SuiteWork.RandomWalk, "random walk", t, w, s_withoutFloor);

    private static IEnumerable<SuiteRow> Scaling(int[] threads) =>
        from t in threads select Walk(WorkloadKind.RandomWalk, SuiteWork.Threads, "random walk", t, Writes, [SuiteSystems.Heca]);

    private static SuiteRow Walk(WorkloadKind kind, SuiteWork work, string name, int threads, int writes, IReadOnlyList<string> systems)
    {
        string title = string.Create(
            CultureInfo.InvariantCulture, $"{name}, {threads} {(threads == 1 ? "thread" : "threads")}, {(writes == 0 ? "reads" : $"{writes} % writes")}");
        SuiteRow row = Row(work, title, kind, systems);
        return row with { Workload = row.Workload with { Threads = threads, WritePercent = writes } };
    }

    private static IEnumerable<SuiteRow> Quicksorts(string[] ratios) =>
        from ratio in ratios
        select Row(SuiteWork.Quicksort, $"quicksort at {ratio}", WorkloadKind.Quicksort, s_withoutFloor) with { Local = ratio };

    private static IEnumerable<SuiteRow> Windows(int[] floor, string[] prefetch) =>
    [
        .. from kind in prefetch
           select Row(SuiteWork.Window, $"scan, prefetch {kind}", WorkloadKind.Scan, [SuiteSystems.Heca]) with { Prefetch = kind },
        .. from window in floor
           select Row(SuiteWork.Window, string.Create(CultureInfo.InvariantCulture, $"scan, windows of {window} pages"), WorkloadKind.Scan, [SuiteSystems.Floor])
               with { Window = window },
    ];
}
