using System.CommandLine;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Ratios;
using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Host;

namespace Hecatonchire.Cli.Bench;

/// <summary>`heca bench check`: has heca become slower? Exit status: 0 no, 1 yes, or a run failed.</summary>
internal static class RatiosCommand
{
    private const string Details =
        "Measures single faults, a scan, a random walk and a quicksort three times each, side by side with heca-floor and with local memory, and\n"
        + "compares the ratios with those in a file: absolute times differ from machine to machine and from day to day. It takes about a minute and a\n"
        + "half; leave the machine alone meanwhile. A change that is meant to make a ratio worse, or has made it better, updates the file.\n\n"
        + "Examples:\n"
        + "  heca bench check              compares\n"
        + "  heca bench check --update     writes what is measured now into the file; tolerances stay";

    private static readonly SuiteSettings s_settings = new()
    {
        SizeBytes = 256L << 20,
        Runs = SuiteSettings.RunsDefault,
        Systems = [SuiteSystems.Local, SuiteSystems.Floor, SuiteSystems.Heca],
        Work = [SuiteWork.Fault.Name(), SuiteWork.Scan.Name(), SuiteWork.RandomWalk.Name(), SuiteWork.Quicksort.Name()],
        Scale = SuiteScale.Check,
    };

    public static Command Create()
    {
        var file = new Option<string>("--file") { HelpName = "FILE", Description = "Holds the ratios that are expected", DefaultValueFactory = _ => RatioFile.DefaultPath };
        var update = new Option<bool>("--update") { Description = "Write the file instead of comparing with it" };
        Option<bool> plain = BenchCommand.ProgressOption();
        var command = new DetailedCommand("check", "Compare ratios of heca to the floor and to local memory with those in a file", Details) { file, update, plain };
        command.SetAction(parsed =>
        {
            var display = new ProgressDisplay(parsed.InvocationConfiguration.Error, ProgressDisplay.ModeFor(parsed.GetValue(plain)));
            return Interruption.Guard(display, token => Run(parsed.GetValue(file)!, parsed.GetValue(update), display, parsed.InvocationConfiguration.Output, token));
        });
        return command;
    }

    private static int Run(string path, bool update, ProgressDisplay display, TextWriter output, CancellationToken cancellation)
    {
        IReadOnlyDictionary<string, ExpectedRatio> expected = update && !File.Exists(path) ? new Dictionary<string, ExpectedRatio>() : RatioFile.Read(path).Ratios;
        if (HostRequirements.FirstMissing() is { } missing)
        {
            throw new CommandException(missing, ExitStatus.HostCannot);
        }

        SuiteResults results = Measure(display, cancellation);
        display.Clear();
        var now = RatioDefinition.All.ToDictionary(definition => definition.Name, definition => definition.Measure(results));
        IReadOnlyList<RatioComparison> comparisons = RatioComparison.Compare(now, expected);
        TextReport.Write(output, RatioTable.Of(comparisons));
        if (results.Runs.FirstOrDefault(run => run.Outcome != SuiteOutcome.Done) is { } bad)
        {
            return HecaCommandLine.Fail(ExitStatus.Failed, $"bench check: {bad.Cell}: {SuiteNames.Of(bad.Outcome)}{(bad.Message is null ? "" : $": {bad.Message}")} ({bad.Command})");
        }

        if (update)
        {
            var file = new RatioFile(results.Build, $"{results.Machine.Cpu}, {results.Machine.Cpus} CPUs, kernel {results.Machine.Kernel}", RatioComparison.Update(now, expected));
            file.Write(path);
            output.WriteLine($"{path} is written");
            return ExitStatus.Done;
        }

        string[] failed = [.. comparisons.Where(c => !c.Passes).Select(c => c.Definition.Name)];
        return failed.Length == 0
            ? ExitStatus.Done
            : HecaCommandLine.Fail(ExitStatus.Failed, $"bench check: {string.Join(", ", failed)}: see the table; if it is meant to be so, --update");
    }

    private static SuiteResults Measure(ProgressDisplay display, CancellationToken cancellation)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("heca-bench-check-");
        try
        {
            SuiteStore store = SuiteStore.Create(directory.FullName, new SuiteResults
            {
                Command = "heca bench check",
                Started = DateTimeOffset.UtcNow,
                Build = BuildIdentity.Read(),
                Machine = HostMachine.Read(new HostFiles()),
                Settings = s_settings,
            });
            return SuiteRunner.Run(store, new SuiteProgress(display), cancellation);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }
}
