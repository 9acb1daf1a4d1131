using System.CommandLine;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Host;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli.Bench;

/// <summary>`heca bench`. Exit status: 0 verified, 1 not or failed, 2 usage, 3 a host that cannot, 128 + signal when interrupted.</summary>
internal static class BenchCommand
{
    private static readonly (WorkloadKind Kind, string Description)[] Benchmarks =
    [
        (WorkloadKind.Fault, "Single pages in random order, each of them out: the latency of a hard fault"),
        (WorkloadKind.Scan, "One word of each page in order: how fast pages stream in"),
        (WorkloadKind.RandomWalk, "Random words read and written by several threads"),
        (WorkloadKind.Zipf, "Random words read and written by several threads, some pages far more often than others, as in a cache"),
        (WorkloadKind.Quicksort, "Parallel quicksort of 32-bit integers"),
    ];

    private const string Details =
        "Systems (--system):\n"
        + "  heca                    the pager; it takes --embedded or --sponsor\n"
        + "  local                   ordinary memory without a limit\n"
        + "  disk-swap               the kernel's swap on a file in --swap-dir\n"
        + "  zram-lzo-rle, zram-lz4  the kernel's swap on compressed memory\n"
        + "  zswap                   the kernel's compressed cache before swap on a file\n\n"
        + "Swap takes root. Its worker runs in a memory cgroup that allows --local of the data and what the process itself needs; cgroup,\n"
        + "swap area and settings are gone at the end, also of an interrupted run. That the kernel kills the worker for want of\n"
        + "memory is a result: `OOM-killed`, status 1.\n\n"
        + "Examples:\n"
        + "  heca bench random-walk --embedded --size 1GiB --local 1:4\n"
        + "  heca bench random-walk --system zram-lz4 --size 1GiB --local 1:4   the same work, swapped\n";

    public static Command Create()
    {
        var command = new DetailedCommand("bench", "Measure sponsored memory, and what people use without it; every run verifies its data", Details);
        foreach ((WorkloadKind kind, string description) in Benchmarks)
        {
            command.Add(CreateBenchmark(kind, description));
        }

        command.Add(NetworkCommand.Create());
        command.Add(CreateDemo());
        command.Add(AdviseCommand.Create());
        command.Add(SuiteCommand.Create());
        command.Add(ReportCommand.Create());
        command.Add(RatiosCommand.Create());
        return command;
    }

    private static Command CreateBenchmark(WorkloadKind kind, string description)
    {
        var command = new Command(kind.Name(), description);
        var options = new BenchOptions(kind, command);
        var json = new Option<bool>("--json") { Description = "Print one JSON object instead of a table" };
        var plain = ProgressOption();
        command.Add(json);
        command.Add(plain);
        command.SetAction(parsed => Guard(parsed, () => [options.Read(parsed)], parsed.GetValue(json), parsed.GetValue(plain)));
        return command;
    }

    private static Command CreateDemo()
    {
        Option<bool> plain = ProgressOption();
        var command = new Command("demo", "Random walk over 1 GiB and quicksort of 512 MiB with a quarter of them here, an embedded sponsor, and baselines") { plain };
        command.SetAction(parsed => Guard(parsed, DemoSettings, json: false, parsed.GetValue(plain)));
        return command;
    }

    public static Option<bool> ProgressOption() => new("--progress") { Description = "Progress as plain lines on standard error, also without a terminal" };

    private static BenchSettings[] DemoSettings()
    {
        _ = LocalBudget.TryParse("1:4", out LocalBudget quarter);
        _ = LocalBudget.TryParse("256MiB", out LocalBudget absolute);
        return
        [
            new BenchSettings
            {
                Workload = new WorkloadOptions { Kind = WorkloadKind.RandomWalk, Bytes = 1L << 30, Threads = 4 },
                Local = absolute,
                Prefetch = PrefetchKind.Trend,
                Baseline = true,
            },
            new BenchSettings
            {
                Workload = new WorkloadOptions { Kind = WorkloadKind.Quicksort, Bytes = 512L << 20, Threads = 2 },
                Local = quarter,
                Prefetch = PrefetchKind.Trend,
                Baseline = true,
            },
        ];
    }

    private static int Guard(ParseResult parsed, Func<BenchSettings[]> read, bool json, bool plain)
    {
        TextWriter output = parsed.InvocationConfiguration.Output, error = parsed.InvocationConfiguration.Error;
        var display = new ProgressDisplay(error, ProgressDisplay.ModeFor(plain));
        return Interruption.Guard(display, token => RunAll(read(), display, output, json, token));
    }

    private static int RunAll(BenchSettings[] runs, ProgressDisplay display, TextWriter output, bool json, CancellationToken cancellation)
    {
        if (runs.Any(r => r.System == MemorySystem.Heca) && HostRequirements.FirstMissing() is { } missing)
        {
            throw new CommandException(missing, ExitStatus.HostCannot);
        }

        SwapJournal.CleanUp();
        using ILoggerFactory loggers = ConsoleLogging.Create(LogLevel.Warning);
        List<BenchResult> results = [];
        foreach (BenchSettings run in runs)
        {
            results.Add(BenchRun.Run(run, display, loggers, cancellation));
        }

        display.Clear();
        if (json)
        {
            results.ForEach(result => BenchTable.WriteJson(output, result));
        }
        else
        {
            BenchTable.Write(output, results);
        }

        if (results.Find(r => !r.Verified) is { } wrong)
        {
            return HecaCommandLine.Fail(ExitStatus.Failed, $"bench {wrong.Benchmark}: the data are not what was written");
        }

        return ExitStatus.Done;
    }
}
