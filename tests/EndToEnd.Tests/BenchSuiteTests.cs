using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Cli.Bench;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>`heca bench suite` as a user runs it, with little work in each cell.</summary>
public sealed class BenchSuiteTests : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);
    private readonly string _directory = Directory.CreateTempSubdirectory("heca-suite-test-").FullName;

    private string Out => Path.Combine(_directory, "out");

    /// <summary>Of the programs that the suite runs.</summary>
    private string Temporary => Path.Combine(_directory, "tmp");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_quick_suite_measures_everything_and_reports_it()
    {
        (int status, string output, string error) = Run("suite", "--quick", "--systems", "local,floor,heca", "--out", Out, "--json");

        Assert.True(status == 0, error);
        SuiteResults results = SuiteStore.Read(Out);
        Assert.True(results.Complete);
        Assert.All(results.Runs, run => Assert.True(run.Outcome == SuiteOutcome.Done, $"{run.Cell}: {run.Message}"));
        Assert.Equal(SuiteMatrix.Cells(SuiteMatrix.Rows(results.Settings)).Select(cell => cell.Id), results.Runs.Select(run => run.Cell));
        Assert.Equal($"heca bench suite --quick --systems local,floor,heca --out {Out} --json", results.Command);
        Assert.Contains("+", results.Build, StringComparison.Ordinal);

        using JsonDocument summary = JsonDocument.Parse(output);
        JsonElement fault = summary.RootElement.GetProperty("rows")[0];
        Assert.Equal(("fault", "p50", "µs"), (fault.GetProperty("work").GetString(), fault.GetProperty("figure").GetString(), fault.GetProperty("unit").GetString()));
        double[] medians = [.. new[] { "local", "floor", "heca" }.Select(system => fault.GetProperty("systems").GetProperty(system).GetProperty("median").GetDouble())];
        Assert.True(medians[0] < medians[1] && medians[0] < medians[2], "touching local memory takes as long as a fault");

        // Every figure of the report comes from some run: none is missing.
        string report = File.ReadAllText(Path.Combine(Out, ReportFiles.Markdown));
        Assert.DoesNotContain("not complete", report, StringComparison.Ordinal);
        Assert.Matches(@"\| single faults, p99\.9 \(µs\) \| [0-9.,]+ \| [0-9.,]+ \| [0-9.,]+ \|", report);
        Assert.Matches(@"\| quicksort at 1:4 \| [0-9.,]+ \| [0-9.,]+ \| [0-9.,]+ \| [0-9.,]+ \|", report);
        Assert.Empty(Directory.GetFileSystemEntries(Temporary));

        byte[] html = File.ReadAllBytes(Path.Combine(Out, ReportFiles.Html));
        File.Delete(Path.Combine(Out, ReportFiles.Html));
        Assert.Equal(0, Run("report", Out).Status);
        Assert.Equal(html, File.ReadAllBytes(Path.Combine(Out, ReportFiles.Html)));
        (status, string readme, _) = Run("report", Out, "--readme");
        Assert.Equal(0, status);
        Assert.Contains("| scan (pages/s) |", readme, StringComparison.Ordinal);
    }

    [Fact]
    public void An_interrupted_suite_leaves_its_results_and_nothing_else_and_goes_on()
    {
        Directory.CreateDirectory(Temporary);
        using (Process suite = Start("suite", "--quick", "--systems", "local,heca", "--work", "fault,quicksort,threads", "--out", Out, "--progress"))
        {
            // In the middle of the run with a pager and a sponsor.
            string seen = ReadUntil(suite.StandardError, "quicksort at 1:4, heca");
            Assert.Matches(@"^\[4/6\] [0-9:]+, about [0-9:]+ left, round 1: quicksort at 1:4, heca$", seen);
            Assert.True(SpinWait.SpinUntil(() => Directory.GetDirectories(Temporary, "heca-bench-*").Length > 0, Deadline), "no pager was started");
            Assert.Equal(0, Libc.Kill(suite.Id, Libc.SIGTERM));
            string rest = suite.StandardError.ReadToEnd();
            Assert.True(suite.WaitForExit(Deadline));
            Assert.True(suite.ExitCode == 128 + Libc.SIGTERM, rest);
            Assert.Contains($"interrupted; `heca bench suite --resume --out {Out}` continues", rest, StringComparison.Ordinal);
        }

        SuiteResults interrupted = SuiteStore.Read(Out);
        Assert.False(interrupted.Complete);
        Assert.Equal(["fault/local", "fault/1:4/heca", "quicksort/local"], interrupted.Runs.Select(run => run.Cell));
        Assert.Empty(Directory.GetFileSystemEntries(Temporary));
        Assert.Empty(OwnProcesses());

        Assert.Equal(0, Run("report", Out).Status);
        Assert.Contains("not complete", File.ReadAllText(Path.Combine(Out, ReportFiles.Markdown)), StringComparison.Ordinal);

        (int status, _, string error) = Run("suite", "--resume", "--out", Out);
        Assert.True(status == 0, error);
        SuiteResults continued = SuiteStore.Read(Out);
        Assert.True(continued.Complete);
        Assert.Equal(interrupted.Command, continued.Command);
        Assert.Equal(interrupted.Runs.Select(Described), continued.Runs.Take(3).Select(Described));
        Assert.Equal(["quicksort/1:4/trend/heca", "random-walk/w20/t1/1:4/trend/heca", "random-walk/w20/t4/1:4/trend/heca"], continued.Runs.Skip(3).Select(run => run.Cell));
    }

    /// <summary>The swap of a kernel without it, a program that is killed: a line in the report, not the end.</summary>
    [Fact]
    public void A_cell_that_fails_is_a_result()
    {
        SuiteStore store = SuiteStore.Create(Out, new SuiteResults
        {
            Command = "",
            Started = DateTimeOffset.UtcNow,
            Build = "",
            Machine = new("", 1, 1, null, "", ""),
            Settings = new SuiteSettings { SizeBytes = 1 << 20, Runs = 1, Systems = ["local"], Work = ["fault", "scan"], Scale = SuiteScale.Quick },
        });
        SuiteResults results = SuiteRunner.Run(store, new SuiteProgress(new(TextWriter.Null, Hecatonchire.Bench.ProgressMode.Quiet)), CancellationToken.None);

        // Less memory than a benchmark takes.
        Assert.Equal(2, results.Runs.Count);
        Assert.All(results.Runs, run => Assert.Equal((SuiteOutcome.Failed, "--size: '1MiB' is not a size from 4MiB to 4TiB"), (run.Outcome, run.Message)));
        Assert.Equal(0, SuiteCommand.Finish(results, Out, TextWriter.Null, json: false));
        Assert.Contains("What did not end well", File.ReadAllText(Path.Combine(Out, ReportFiles.Markdown)), StringComparison.Ordinal);

        SuiteRun[] wrong = [results.Runs[0] with { Outcome = SuiteOutcome.Unverified }];
        Assert.Equal(1, SuiteCommand.Finish(results with { Runs = wrong }, Out, TextWriter.Null, json: false));
    }

    [Theory]
    [InlineData(2, "suite", "--systems", "tape")]
    [InlineData(2, "suite", "--resume", "--out", "/nowhere")]
    [InlineData(2, "suite", "--resume", "--quick")]
    [InlineData(2, "report", "/nowhere")]
    [InlineData(2, "check", "--file", "/nowhere/ratios.json")]
    public void Bad_usage_is_one_line(int expected, params string[] arguments)
    {
        (int status, string output, string error) = Run(arguments);
        Assert.Equal((expected, ""), (status, output));
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    private static string Described(SuiteRun run) => $"{run.Cell} {run.Round} {run.Seconds} {run.Output}";

    private static string ReadUntil(StreamReader reader, string part)
    {
        var seen = new StringBuilder();
        while (reader.ReadLine() is { } line)
        {
            if (line.Contains(part, StringComparison.Ordinal))
            {
                return line;
            }

            seen.AppendLine(line);
        }

        return seen.ToString();
    }

    /// <summary>Whatever runs with our directory for temporary files.</summary>
    private string[] OwnProcesses()
    {
        string mark = $"TMPDIR={Temporary}";
        return [.. Directory.GetDirectories("/proc").Where(path => int.TryParse(Path.GetFileName(path), CultureInfo.InvariantCulture, out _) && EnvironmentOf(path).Contains(mark))];

        static string[] EnvironmentOf(string process)
        {
            try
            {
                return File.ReadAllText(Path.Combine(process, "environ")).Split('\0');
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return [];
            }
        }
    }

    private (int Status, string Output, string Error) Run(params string[] arguments)
    {
        Directory.CreateDirectory(Temporary);
        using Process process = Start(arguments);
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(Deadline));
        return (process.ExitCode, output, error.Result);
    }

    private Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Heca, ["bench", .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["TMPDIR"] = Temporary;
        return Process.Start(start)!;
    }
}
