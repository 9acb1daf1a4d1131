using System.CommandLine;
using System.Globalization;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Host;
using Hecatonchire.Transport.Rdma;

namespace Hecatonchire.Cli.Bench;

/// <summary>`heca bench suite`. Exit status: 0 all runs verified, however they went; 1 one did not; 2, 3 and 128 + signal as everywhere.</summary>
internal static class SuiteCommand
{
    private static string Details => string.Create(CultureInfo.InvariantCulture,
        $"""
        Every system does the same work on the same data, round by round: local memory, heca-floor (a bare pager in C), heca with a sponsor
        on this host, and the kernel's swap on a disk file, on zram and behind zswap, which takes root. A run that fails (OOM-killed, no such
        device) is a result as well; the suite goes on.

        On 2 cores the defaults take about {Minutes(new SuiteSettings())} minutes, most of it quicksort; --size 256MiB about {Minutes(new SuiteSettings { SizeBytes = 256 << 20 })}.
        Leave the machine alone meanwhile.

        Examples:
          heca bench suite --quick                                  does everything run here? less than a minute
          heca bench suite                                          the whole, into bench-report/
          heca bench suite --resume                                 continues it
          heca bench suite --work quicksort --systems local,heca    a part, for a change one works on
          heca bench report bench-report                            the report again, from what is measured
        """);

    public static Command Create()
    {
        var options = new SuiteOptions();
        var json = new Option<bool>("--json") { Description = "Print the medians as one JSON object instead of a table" };
        Option<bool> plain = BenchCommand.ProgressOption();
        var command = new DetailedCommand("suite", "Measure heca beside local memory, the floor and the kernel's swap, and write a report", Details);
        options.AddTo(command);
        command.Add(json);
        command.Add(plain);
        command.SetAction(parsed =>
        {
            string directory = options.Directory(parsed);
            var display = new ProgressDisplay(parsed.InvocationConfiguration.Error, ProgressDisplay.ModeFor(parsed.GetValue(plain)));
            return Interruption.Guard(
                display,
                token =>
                {
                    SuiteStore store = Open(parsed, options, directory);
                    SuiteResults results = SuiteRunner.Run(store, new SuiteProgress(display), token);
                    display.Clear();
                    return Finish(results, directory, parsed.InvocationConfiguration.Output, parsed.GetValue(json));
                },
                $"; `heca bench suite --resume --out {directory}` continues");
        });
        return command;
    }

    /// <summary>To ten: a guess.</summary>
    private static double Minutes(SuiteSettings settings) => Math.Ceiling(SuiteEstimate.Whole(settings).TotalMinutes / 10) * 10;

    private static SuiteStore Open(ParseResult parsed, SuiteOptions options, string directory)
    {
        bool resumes = options.Resumes(parsed);
        SuiteResults now = new()
        {
            Command = $"heca {string.Join(' ', parsed.Tokens.Select(t => t.Value))}",
            Started = DateTimeOffset.UtcNow,
            Build = BuildIdentity.Read(),
            Machine = HostMachine.Read(new HostFiles()),
            Settings = options.Read(parsed),
        };
        SuiteStore? earlier = resumes ? SuiteStore.Open(directory) : null;
        SuiteSettings settings = (earlier?.Results ?? now).Settings;
        if (settings.Systems.Contains(SuiteSystems.HecaRdma) && RdmaHost.Missing() is { } obstacle)
        {
            throw new CommandException($"{SuiteSystems.HecaRdma}: {obstacle}", ExitStatus.HostCannot);
        }

        if ((settings.Systems.Any(SuiteSystems.IsHeca) || settings.Systems.Contains(SuiteSystems.Floor)) && HostRequirements.FirstMissing() is { } missing)
        {
            throw new CommandException(missing, ExitStatus.HostCannot);
        }

        if (earlier is not null && (earlier.Results.Build != now.Build || earlier.Results.Machine != now.Machine))
        {
            throw new CommandException(
                $"--resume: {directory} is of heca {earlier.Results.Build} on {earlier.Results.Machine}; this is {now.Build} on {now.Machine}: "
                + "figures of both do not belong into one table",
                ExitStatus.Usage);
        }

        return earlier ?? SuiteStore.Create(directory, now);
    }

    /// <summary>Writes the report and prints the summary; the exit status.</summary>
    internal static int Finish(SuiteResults results, string directory, TextWriter output, bool json)
    {
        ReportFiles.Write(directory, results);
        if (json)
        {
            SuiteJson.Write(output, results);
        }
        else
        {
            TextReport.Write(output, SuiteTables.Summary(new SuiteView(results)));
            output.WriteLine($"{Path.Combine(directory, ReportFiles.Html)} has all of it, {ReportFiles.Markdown} beside it as text");
        }

        return results.Runs.FirstOrDefault(run => run.Outcome == SuiteOutcome.Unverified) is { } wrong
            ? HecaCommandLine.Fail(ExitStatus.Failed, $"bench suite: {wrong.Cell}: the data are not what was written ({wrong.Command})")
            : ExitStatus.Done;
    }
}
