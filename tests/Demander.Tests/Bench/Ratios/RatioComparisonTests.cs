using Hecatonchire.Bench.Ratios;
using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Cli;
using Hecatonchire.Tests.Bench.Suite;
using Xunit;

namespace Hecatonchire.Tests.Bench.Ratios;

public sealed class RatioComparisonTests
{
    private static readonly SuiteSettings s_settings = new() { Scale = SuiteScale.Check, SizeBytes = 64 << 20 };

    [Theory]
    [InlineData(1.0, RatioVerdict.Good)]
    [InlineData(1.2, RatioVerdict.Good)]
    [InlineData(1.21, RatioVerdict.Regression)]
    [InlineData(0.8, RatioVerdict.Good)]
    [InlineData(0.79, RatioVerdict.Better)]
    internal void More_than_tolerated_is_a_regression_and_less_is_not(double now, RatioVerdict verdict)
    {
        RatioComparison comparison = Compare(now, new ExpectedRatio(1, 0.2));
        Assert.Equal(verdict, comparison.Verdict);
        Assert.Equal(verdict != RatioVerdict.Regression, comparison.Passes);
    }

    [Fact]
    public void What_was_not_measured_or_is_not_expected_does_not_pass()
    {
        Assert.Equal((RatioVerdict.NotMeasured, false), (Compare(null, new ExpectedRatio(1, 0.2)).Verdict, Compare(null, null).Passes));
        Assert.Equal((RatioVerdict.Unexpected, false), (Compare(1, null).Verdict, Compare(1, null).Passes));
    }

    [Fact]
    public void A_ratio_is_the_median_of_those_of_each_round()
    {
        // A round in which the whole machine was ten times slower is no change; heca alone twice as slow in one of three is outvoted.
        SuiteResults results = SuiteSamples.Complete(s_settings, (cell, round) => round == 1 ? 10 : round == 2 && cell.System == SuiteSystems.Heca ? 2 : 1);
        Assert.Equal(new Spread(2, 2, 4, 3), Measure("fault_p50_by_floor", results));
        Assert.Equal(new Spread(3, 3, 6, 3), Measure("fault_p99_by_floor", results));
        Assert.Equal(new Spread(2, 2, 4, 3), Rounded(Measure("scan_by_floor", results)));
        Assert.Equal(new Spread(20, 20, 40, 3), Measure("quicksort_by_local", results));

        // 20 s for a million pages, by 10 µs.
        Assert.Equal(new Spread(2, 2, 4, 3), Measure("random_walk_by_floor_fault", results));
    }

    [Fact]
    public void A_round_that_lacks_a_run_leaves_the_ratio_unmeasured()
    {
        SuiteResults results = SuiteSamples.Complete(s_settings);
        SuiteRun floor = results.Runs.First(run => run.Cell == "fault/floor" && run.Round == 2);
        results = results with { Runs = [.. results.Runs.Where(run => run != floor), floor with { Outcome = SuiteOutcome.Failed }] };
        Assert.Null(Measure("fault_p50_by_floor", results));
        Assert.NotNull(Measure("quicksort_by_local", results));
    }

    [Fact]
    public void An_update_takes_the_medians_and_keeps_the_tolerances()
    {
        Dictionary<string, Spread?> now = RatioDefinition.All.ToDictionary(d => d.Name, _ => (Spread?)new Spread(1.23456, 1, 2, 3));
        IReadOnlyDictionary<string, ExpectedRatio> updated = RatioComparison.Update(now, new Dictionary<string, ExpectedRatio>
        {
            ["scan_by_floor"] = new(9, 0.9),
            ["of_old"] = new(1, 1),
        });
        Assert.Equal(RatioDefinition.All.Select(d => d.Name), updated.Keys);
        Assert.Equal(new ExpectedRatio(1.23, 0.9), updated["scan_by_floor"]);
        Assert.Equal(RatioDefinition.All[0].Tolerance, updated["fault_p50_by_floor"].Tolerance);
        Assert.All(RatioComparison.Compare(now, updated), c => Assert.True(c.Passes));
    }

    [Fact]
    public void The_table_names_what_got_worse()
    {
        ReportTable table = RatioTable.Of(RatioComparison.Compare(
            new Dictionary<string, Spread?> { ["fault_p50_by_floor"] = new Spread(1.5, 1.4, 1.6, 3) },
            new Dictionary<string, ExpectedRatio> { ["fault_p50_by_floor"] = new(1.2, 0.1) }));
        Assert.Equal(["single fault, p50, by the floor's", "1.50", "1.40", "1.60", "1.20", "1.32", "REGRESSION"], table.Rows[0]);
        Assert.All(table.Rows.Skip(1), row => Assert.Equal("NOT MEASURED", row[^1]));
    }

    [Fact]
    public void A_file_is_read_as_it_was_written()
    {
        string path = Path.GetTempFileName();
        try
        {
            new RatioFile("b", "m", new Dictionary<string, ExpectedRatio> { ["x"] = new(1.5, 0.25) }).Write(path);
            RatioFile read = RatioFile.Read(path);
            Assert.Equal(("b", "m", new ExpectedRatio(1.5, 0.25)), (read.Build, read.Machine, read.Ratios["x"]));
            File.WriteAllText(path, "{}");
            Assert.Equal(2, Assert.Throws<CommandException>(() => RatioFile.Read(path)).Status);
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>The file in the repository knows every ratio and no other.</summary>
    [Fact]
    public void The_repository_has_an_expectation_for_each()
    {
        string? directory = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(directory!, "Hecatonchire.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        RatioFile file = RatioFile.Read(Path.Combine(directory!, RatioFile.DefaultPath));
        Assert.Equal(RatioDefinition.All.Select(d => d.Name).Order(), file.Ratios.Keys.Order());
        Assert.All(file.Ratios.Values, ratio => Assert.InRange(ratio.Tolerance, 0.01, 1));
    }

    private static RatioComparison Compare(double? now, ExpectedRatio? expected) =>
        new(RatioDefinition.All[0], now is { } ratio ? new Spread(ratio, ratio, ratio, 3) : null, expected);

    private static Spread? Measure(string name, SuiteResults results) => RatioDefinition.All.Single(d => d.Name == name).Measure(results);

    private static Spread? Rounded(Spread? s) => s is { } v ? new Spread(Math.Round(v.Median, 9), Math.Round(v.Min, 9), Math.Round(v.Max, 9), v.Count) : null;
}
