using System.Globalization;
using Hecatonchire.Bench.Report.Plots;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Report;

/// <summary>What there is to say about the results of a suite.</summary>
internal static class SuiteReport
{
    public static ReportDocument Of(SuiteResults results)
    {
        var view = new SuiteView(results);
        ReportSection[] sections =
        [
            Head(results),
            new("Summary") { Tables = [SuiteTables.Summary(view)] },
            new("Single faults")
            {
                Paragraphs =
                [
                    "One thread touches pages in random order, none twice, all of them moved out before: the time of each touch as the thread sees it. "
                    + "Local memory has no faults: its touches, in the table, are what measuring itself takes.",
                ],
                Plots = PlotsOf(SuitePlots.Latencies(view)),
                Tables = [SuiteTables.Percentiles(view)],
            },
            new("Slowdown against memory")
            {
                Paragraphs = ["Quicksort of 32-bit integers by one thread, with less and less of its memory here."],
                Plots = PlotsOf(SuitePlots.Slowdowns(view)),
                Tables = [SuiteTables.Slowdowns(view)],
            },
            new("Throughput against window")
            {
                Paragraphs =
                [
                    "One word of each page in order. heca decides by itself how far ahead to fetch, after one of three policies; the floor keeps two "
                    + "windows of a fixed size in flight.",
                ],
                Plots = PlotsOf(SuitePlots.Windows(view)),
                Tables = [SuiteTables.Figures(view, view.RowsOf(SuiteWork.Window))],
            },
            new("Scaling with threads")
            {
                Paragraphs = ["Random words, a part of them written. heca with every number of threads, the others with those of the random walk."],
                Plots = PlotsOf(SuitePlots.Threads(view)),
                Tables = [SuiteTables.Figures(view, view.ScalingRows)],
            },
            new("All figures") { Tables = [SuiteTables.AllFigures(view)] },
            new("By heca and by the floor")
            {
                Paragraphs = ["Medians as time: 2 takes twice as long. Rates are turned round."],
                Tables = [SuiteTables.TimesBy(view, SuiteSystems.Heca), SuiteTables.TimesBy(view, SuiteSystems.Floor)],
            },
            new("Processor time")
            {
                Paragraphs =
                [
                    "What a page costs in processor time, in the measured part. The whole host includes what no process accounts for, such as the kernel's "
                    + "swap threads, and everything else that ran. Threads that wait by spinning count as working.",
                ],
                Tables = [SuiteTables.HostCpu(view), SuiteTables.ProgramCpu(view), SuiteTables.HecaCpu(view)],
            },
            new("Memory of swap")
            {
                Paragraphs =
                [
                    "zram and zswap keep the pages that are not in their place in memory of this host all the same, compressed: beyond the share that may be here "
                    + "they take what this table says. A disk and a sponsor on another host take none.",
                ],
                Tables = [SuiteTables.Devices(view)],
            },
            new("What did not end well") { Tables = [Failures(results)] },
            Method(view),
        ];
        return new ReportDocument(
            "Hecatonchire: measurements",
            [.. sections.Select(WithoutEmptyTables).Where(s => s.Tables.Count + s.Plots.Count > 0 || s.Heading == MethodHeading)]);
    }

    /// <summary>Machine, command and the summary: for a README.</summary>
    public static ReportDocument Excerpt(SuiteResults results)
    {
        ReportTable head = Head(results).Tables[0];
        string line = string.Join("; ", head.Rows.Where(row => row[0] is "CPU" or "memory" or "kernel" or "heca").Select(row => $"{row[0]} {row[1]}"));
        return new ReportDocument("", [new ReportSection("")
        {
            Paragraphs = [$"`{results.Command}` ({line}; {Date(results.Started)}):"],
            Tables = [SuiteTables.Summary(new SuiteView(results))],
        }]);
    }

    private const string MethodHeading = "How it was measured";

    private static ReportSection Head(SuiteResults results) => new("")
    {
        Paragraphs = results.Complete ? [] : ["**This suite is not complete**: it was interrupted, or is still running. `--resume` continues it."],
        Tables =
        [
            new ReportTable("", ["", ""],
            [
                ["CPU", string.Create(CultureInfo.InvariantCulture, $"{results.Machine.Cpu}, {results.Machine.Cpus} CPUs")],
                ["memory", new ByteSize(results.Machine.MemoryBytes).ToString()],
                ["virtualised", results.Machine.Virtualised is { } by ? $"yes ({by})" : "no"],
                ["kernel", results.Machine.Kernel],
                [".NET", results.Machine.Dotnet],
                ["heca", results.Build],
                ["date", Date(results.Started)],
                ["command", $"`{results.Command}`"],
            ], AreFigures: false),
        ],
    };

    private static ReportSection Method(SuiteView view)
    {
        SuiteSettings settings = view.Results.Settings;
        string amounts = string.Join("; ", view.Rows.Where(row => row.HasAmount).DistinctBy(row => row.AmountName).Select(row => AmountOf(row, view.Results)));
        return new ReportSection(MethodHeading)
        {
            Paragraphs =
            [
                string.Create(CultureInfo.InvariantCulture, $"{settings.Size} of data, {settings.Runs} {(settings.Runs == 1 ? "run" : "runs")} of everything, seed {settings.Seed}. ")
                    + "Where nothing else is said a quarter of the data may be here. Each run is a process of its own that verifies all its data at the end.",
                "Rounds are interleaved: the first run of everything, then the second, with the systems side by side at each piece of work.",
                $"All systems of a row do the same: {amounts}.",
                "The floor is `heca-floor`, a bare pager in C with no page table, no eviction and no write-back: what the hardware and the kernel allow.",
            ],
        };
    }

    private static string AmountOf(SuiteRow row, SuiteResults results)
    {
        long amount = results.Amounts.GetValueOrDefault(row.AmountName);
        string unit = row.Workload.Kind switch
        {
            WorkloadKind.Scan => amount == 1 ? "pass (the floor: one)" : "passes (the floor: one)",
            WorkloadKind.Fault => "touches",
            _ => "accesses",
        };
        string name = row.Work == SuiteWork.Window ? "scan" : row.Title;
        return string.Create(CultureInfo.InvariantCulture, $"{name}: {amount:N0} {unit}");
    }

    private static ReportTable Failures(SuiteResults results) => new(
        "",
        ["run", "round", "outcome", "message", "command"],
        [
            .. from run in results.Runs
               where run.Outcome != SuiteOutcome.Done
               select (IReadOnlyList<string>)
               [
                   run.Cell, run.Round.ToString(CultureInfo.InvariantCulture), SuiteNames.Of(run.Outcome), run.Message ?? "", $"`{run.Command}`",
               ],
        ], AreFigures: false);

    private static ReportSection WithoutEmptyTables(ReportSection section) => section with { Tables = [.. section.Tables.Where(t => t.Rows.Count > 0)] };

    private static IReadOnlyList<Plot> PlotsOf(Plot? plot) => plot is null ? [] : [plot];

    private static string Date(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture);
}
