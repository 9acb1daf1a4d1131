using Hecatonchire.Bench.Suite;
using Hecatonchire.Cli;
using Xunit;

namespace Hecatonchire.Tests.Bench.Suite;

public sealed class SuiteStoreTests : IDisposable
{
    private static readonly SuiteSettings Settings = new() { SizeBytes = 16 << 20, Runs = 2, Systems = ["local", "heca"], Work = ["quicksort"], Scale = SuiteScale.Quick };
    private readonly string _directory = Path.Combine(Directory.CreateTempSubdirectory("heca-suite-").FullName, "made", "when needed");

    public void Dispose() => Directory.Delete(Path.GetDirectoryName(Path.GetDirectoryName(_directory))!, recursive: true);

    [Fact]
    public void What_was_stored_is_read_again()
    {
        SuiteCell cell = SuiteMatrix.Cells(SuiteMatrix.Rows(Settings))[1];
        SuiteStore store = SuiteStore.Create(_directory, SuiteSamples.Empty(Settings));
        store.SetAmount("scan", 3);
        store.Add(SuiteSamples.Run(cell, 1, SuiteOutcome.Done, SuiteSamples.Output(cell, 1)));
        store.Add(SuiteSamples.Run(cell, 2, SuiteOutcome.OomKilled, null));

        SuiteResults read = SuiteStore.Read(_directory);

        Assert.False(read.Complete);
        Assert.Equal(3, read.Amounts["scan"]);
        Assert.Equal((16L << 20, 2, SuiteScale.Quick), (read.Settings.SizeBytes, read.Settings.Runs, read.Settings.Scale));
        Assert.Equal(["local", "heca"], read.Settings.Systems);
        Assert.Equal(SuiteSamples.Machine, read.Machine);
        SuiteRun[] runs = [.. read.RunsOf(cell)];
        Assert.Equal([SuiteOutcome.Done, SuiteOutcome.OomKilled], runs.Select(run => run.Outcome));
        Assert.Equal(20, runs[0].Measured!.ElapsedS);
        Assert.Null(runs[1].Measured);
        Assert.Equal("heca: it went wrong", runs[1].Message);
        store.SetComplete();
        Assert.True(SuiteStore.Read(_directory).Complete);
        Assert.Equal([SuiteStore.FileName], Directory.GetFiles(_directory).Select(Path.GetFileName));
    }

    [Fact]
    public void A_suite_goes_on_where_it_was()
    {
        SuiteStore.Create(_directory, SuiteSamples.Empty(Settings)).SetAmount("scan", 3);
        SuiteStore store = SuiteStore.Open(_directory);
        store.SetAmount("fault", 4);
        Assert.Equal((3, 4), (SuiteStore.Read(_directory).Amounts["scan"], SuiteStore.Read(_directory).Amounts["fault"]));
    }

    [Fact]
    public void Earlier_results_are_kept_under_their_time()
    {
        SuiteStore.Create(_directory, SuiteSamples.Empty(Settings)).SetAmount("scan", 3);
        SuiteStore.Create(_directory, SuiteSamples.Empty(Settings));
        Assert.Empty(SuiteStore.Read(_directory).Amounts);
        Assert.Contains("\"scan\": 3", File.ReadAllText(Path.Combine(_directory, "results-20250102-030405.json")), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(null, "is not there")]
    [InlineData("", "does not hold results")]
    [InlineData("null", "does not hold results")]
    [InlineData("{\"format\":1}", "does not hold results")]
    [InlineData("[]", "does not hold results")]
    public void What_is_no_result_is_said_in_one_line(string? content, string message)
    {
        Directory.CreateDirectory(_directory);
        if (content is not null)
        {
            File.WriteAllText(Path.Combine(_directory, SuiteStore.FileName), content);
        }

        CommandException error = Assert.Throws<CommandException>(() => SuiteStore.Read(_directory));
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Results_of_another_format_are_refused()
    {
        SuiteStore.Create(_directory, SuiteSamples.Empty(Settings) with { Format = 2 });
        Assert.Contains("format 2", Assert.Throws<CommandException>(() => SuiteStore.Open(_directory)).Message, StringComparison.Ordinal);
    }
}
