using System.CommandLine;
using System.Text.RegularExpressions;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Cli;
using Hecatonchire.Cli.Bench;
using Hecatonchire.Transport;
using Xunit;

namespace Hecatonchire.Tests.Bench.Suite;

public sealed partial class SuiteMatrixTests
{
    private static readonly string[] s_ratios = ["3:4", "1:2", "1:3", "1:4", "1:5"];
    private static readonly int[] s_windows = [16, 32, 64, 128, 256];
    private static readonly string[] s_prefetch = ["none", "window", "trend"];

    private static readonly (int, int)[] s_walks = [(1, 0), (1, 20), (4, 0), (4, 20)];

    [Fact]
    public void The_whole_matrix_has_all_that_was_asked_for()
    {
        IReadOnlyList<SuiteRow> rows = SuiteMatrix.Rows(new SuiteSettings());

        Assert.Equal(SuiteSystems.All, Only(SuiteWork.Fault).Single().Systems);
        Assert.Equal(SuiteSystems.All, Only(SuiteWork.Scan).Single().Systems);
        Assert.Equal(s_walks, Only(SuiteWork.RandomWalk).Select(row => (row.Workload.Threads, row.Workload.WritePercent)));
        Assert.Equal(0.99, Only(SuiteWork.Zipf).Single().Workload.Theta);
        Assert.Equal(s_ratios, Only(SuiteWork.Quicksort).Select(row => row.Local));
        Assert.All(Only(SuiteWork.Quicksort), row => Assert.Equal(1, row.Workload.Threads));
        Assert.Equal(s_windows, Only(SuiteWork.Window).Where(row => row.Systems.Contains("floor")).Select(row => row.Window));
        Assert.Equal(s_prefetch, Only(SuiteWork.Window).Where(row => row.Systems.Contains("heca")).Select(row => row.Prefetch));
        Assert.Equal([1, 2, 4, 8], Only(SuiteWork.Threads).Select(row => row.Workload.Threads));
        Assert.All(rows, row => Assert.Equal(1L << 30, row.Workload.Bytes));

        IEnumerable<SuiteRow> Only(SuiteWork work) => rows.Where(row => row.Work == work);
    }

    [Fact]
    public void What_rows_share_is_measured_once()
    {
        var settings = new SuiteSettings();
        string[] ids = [.. SuiteMatrix.Cells(SuiteMatrix.Rows(settings)).Select(cell => cell.Id)];
        Assert.Equal(ids.Distinct(), ids);
        Assert.Single(ids, "quicksort/local");
        Assert.Single(ids, "scan/1:4/trend/heca");
        Assert.Single(ids, "scan/window-64/floor");
        Assert.Single(ids, "random-walk/w20/t4/1:4/trend/heca");

        // Faults and scans by 8 systems, 4 walks and zipf by 7, 5 quicksorts by 6 and once in local memory, 4 windows, 2 policies, 2 numbers of threads.
        Assert.Equal((2 * 8) + (5 * 7) + 31 + 4 + 2 + 2, ids.Length);
    }

    [Fact]
    public void Different_work_has_different_names()
    {
        var settings = new SuiteSettings();
        IEnumerable<SuiteCell> cells = SuiteMatrix.Rows(settings).SelectMany(row => row.Cells);
        Assert.All(cells.GroupBy(cell => cell.Id), same => Assert.Single(same.Select(cell => string.Join(' ', cell.Arguments(settings, 7))).Distinct()));
        Assert.All(
            cells.GroupBy(cell => string.Join(' ', cell.Arguments(settings, 7))),
            same => Assert.Single(same.Select(cell => cell.Id).Distinct()));
    }

    [Fact]
    public void Only_what_was_chosen()
    {
        IReadOnlyList<SuiteRow> rows = SuiteMatrix.Rows(new SuiteSettings { Systems = ["floor", "zswap"], Work = ["scan", "quicksort", "threads"] });
        Assert.Equal(["scan", .. s_ratios.Select(r => $"quicksort at {r}")], rows.Select(row => row.Title));
        Assert.Equal(["floor", "zswap"], rows[0].Systems);
        Assert.Equal(["zswap"], rows[1].Systems);
    }

    /// <summary>Whatever the suite runs, the command line of heca takes.</summary>
    [Theory]
    [InlineData(SuiteScale.Full)]
    [InlineData(SuiteScale.Quick)]
    [InlineData(SuiteScale.Check)]
    internal void Commands_are_such_as_users_give(SuiteScale scale)
    {
        var settings = new SuiteSettings { Scale = scale, SizeBytes = 48 << 20, Seed = 5, SwapDirectory = "/somewhere" };
        foreach (SuiteCell cell in SuiteMatrix.Cells(SuiteMatrix.Rows(settings)).Where(cell => cell.System != SuiteSystems.Floor))
        {
            string[] arguments = cell.Arguments(settings, 3);
            Assert.Equal("bench", arguments[0]);
            Assert.True(WorkloadNames.TryParse(arguments[1], out WorkloadKind kind));
            var command = new Command(arguments[1]);
            var options = new BenchOptions(kind, command);
            command.Add(new Option<bool>("--json"));
            command.Add(BenchCommand.ProgressOption());
            ParseResult parsed = command.Parse(arguments[2..]);
            Assert.Empty(parsed.Errors);
            BenchSettings read = options.Read(parsed);
            string system = SuiteSystems.IsHeca(cell.System) ? "heca" : cell.System;
            Assert.Equal((system, 48L << 20, 5UL), (read.System.Name(), read.Workload.Bytes, read.Workload.Seed));
            Assert.Equal(cell.System switch { "heca" => TransportPreference.Tcp, SuiteSystems.HecaRdma => TransportPreference.Rdma, _ => TransportPreference.Auto }, read.Transport);
            Assert.Equal(read.System is MemorySystem.DiskSwap or MemorySystem.Zswap ? "/somewhere" : SwapFile.DefaultDirectory, read.SwapDirectory);
            Assert.Equal((cell.Row.Workload.Threads, cell.Row.Workload.Pin), (read.Workload.Threads, read.Workload.Pin));
        }
    }

    [Fact]
    public void The_floor_gets_window_and_count()
    {
        var settings = new SuiteSettings { SizeBytes = 32 << 20 };
        IReadOnlyList<SuiteRow> rows = SuiteMatrix.Rows(settings);
        SuiteRow window = rows.Last(row => row.Work == SuiteWork.Window);
        Assert.Equal(["scan", "--size", "33554432", "--window", "256", "--depth", "2"], window.Cell("floor")!.Arguments(settings, 3));
        Assert.Equal(["fault", "--size", "33554432", "--count", "3"], rows[0].Cell("floor")!.Arguments(settings, 3)[..5]);
    }

    [Theory]
    [InlineData("--size 1MiB", "--size", "1MiB")]
    [InlineData("--runs 0", "--runs", "0")]
    [InlineData("--systems heca,tape", "--systems", "tape")]
    [InlineData("--work nothing", "--work", "nothing")]
    [InlineData("--cell-seconds 0", "--cell-seconds", "0")]
    [InlineData("--resume --runs 4", "--runs", "--resume")]
    [InlineData("--resume --quick", "--quick", "--resume")]
    public void Bad_usage_names_option_and_value(string arguments, string option, string value)
    {
        CommandException error = Assert.Throws<CommandException>(() => Read(arguments));
        Assert.Equal(2, error.Status);
        Assert.Contains(option, error.Message, StringComparison.Ordinal);
        Assert.Contains(value, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_reach_the_settings()
    {
        Assert.Equal((1L << 30, 3, 5.0, SuiteScale.Full), Figures(Read("")));
        Assert.Equal((16L << 20, 1, 5.0, SuiteScale.Quick), Figures(Read("--quick")));
        SuiteSettings settings = Read("--size 100MiB --runs 5 --cell-seconds 2.5 --systems zswap,heca --work scan --seed 9");
        Assert.Equal((100L << 20, 5, 2.5, SuiteScale.Full), Figures(settings));
        Assert.Equal(["heca", "zswap"], settings.Systems);
        Assert.Equal(["scan"], settings.Work);
        Assert.Equal(9UL, settings.Seed);

        static (long, int, double, SuiteScale) Figures(SuiteSettings s) => (s.SizeBytes, s.Runs, s.CellSeconds, s.Scale);
    }

    /// <summary>A number in the help that nobody updates is worse than none.</summary>
    [Fact]
    public void The_help_says_how_long_it_takes()
    {
        Match minutes = Minutes().Match(((DetailedCommand)SuiteCommand.Create()).Details);
        Assert.True(minutes.Success);
        Assert.InRange(int.Parse(minutes.Groups[1].Value), SuiteEstimate.Whole(new SuiteSettings()).TotalMinutes, 180);
        Assert.InRange(int.Parse(minutes.Groups[2].Value), 1, int.Parse(minutes.Groups[1].Value) / 2);
    }

    [GeneratedRegex("about ([0-9]+) minutes.*256MiB about ([0-9]+)")]
    private static partial Regex Minutes();

    private static SuiteSettings Read(string arguments)
    {
        var command = new Command("suite");
        var options = new SuiteOptions();
        options.AddTo(command);
        ParseResult parsed = command.Parse(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Empty(parsed.Errors);
        options.Resumes(parsed);
        return options.Read(parsed);
    }
}
