using System.CommandLine;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Advise;
using Hecatonchire.Bench.Report;
using Hecatonchire.Cli.Run;
using Hecatonchire.Host;

namespace Hecatonchire.Cli.Bench;

/// <summary>
/// `heca bench advise`. Exit status: 0 measured, whatever the answer; 1 there was nothing to compare, or the program ended otherwise than without heca; 126 and 127 as a shell;
/// 2, 3 and 128 + signal as everywhere.
/// </summary>
internal static class AdviseCommand
{
    private const string Details =
        "The program runs without heca first, which tells its time and how much anonymous memory it has at its peak, and then under `heca run` with less and\n"
        + "less of that here: its slowdown by local memory, and the smallest budget that is enough. Give it a piece of work that ends by itself, takes some seconds\n"
        + "(what heca costs at a program's start is in its time), and does the same each time; it runs --runs times with each budget, and one time more. It has to\n"
        + "end with status 0 each time. Its standard output is not shown, but compared.\n\n"
        + "Where no sponsor is named, one on this host lends the memory. It then shares the processors with the program; a sponsor on another host, over the\n"
        + "network that the program will have, tells more.\n\n"
        + "Examples:\n"
        + "  heca bench advise -- python3 job.py\n"
        + "  heca bench advise --slowdown 1.25 --precise --report job.html --sponsor 10.0.0.2:7400 --sponsor-key sponsor.public -- ./job\n"
        + "  heca bench advise --input data.txt --budgets 50,25,10 --runs 1 --json -- sort\n";

    public static Command Create()
    {
        var options = new AdviseOptions();
        var json = new Option<bool>("--json") { Description = "Print one JSON object instead of a table" };
        Option<bool> plain = BenchCommand.ProgressOption();
        var command = new DetailedCommand("advise", "How much local memory is enough for a program of yours: its slowdown with less and less of it", Details);
        options.AddTo(command);
        command.Add(json);
        command.Add(plain);
        command.SetAction(parsed =>
        {
            var display = new ProgressDisplay(parsed.InvocationConfiguration.Error, ProgressDisplay.ModeFor(parsed.GetValue(plain)));
            return Interruption.Guard(display, token =>
            {
                AdviseRequest request = options.Read(parsed);
                CheckCapture(request.Settings);
                DateTimeOffset started = DateTimeOffset.UtcNow;
                Advice advice = AdviceSession.Run(request.Settings, display, token);
                display.Clear();
                Write(parsed.InvocationConfiguration.Output, advice, parsed.GetValue(json), started);
                if (request.Report is { } path)
                {
                    string words = string.Join(' ', parsed.Tokens.Select(word => Advice.Quoted(word.Value)));
                    AdviceReport.Write(path, advice, $"heca {words}", started);
                }

                return Finish(advice);
            });
        });
        return command;
    }

    /// <summary>Throws <see cref="CommandException"/> where the program's memory is not to be captured.</summary>
    private static void CheckCapture(AdviceSettings settings)
    {
        if (ProgramFile.Inspect(settings.Program) == ProgramKind.UsesHeca)
        {
            throw new CommandException(
                $"{settings.Program} asks for sponsored memory itself, and does not run without heca: there is nothing to compare with; `heca run --stats` tells what a run was like", ExitStatus.Failed);
        }

        _ = RunSession.Captures(settings.Program, CaptureChoice.Yes);
        if (HostRequirements.FirstMissingForCapture() is { } missing)
        {
            throw new CommandException(missing, ExitStatus.HostCannot);
        }
    }

    private static void Write(TextWriter output, Advice advice, bool json, DateTimeOffset started)
    {
        if (json)
        {
            AdviceJson.Write(output, advice, started);
            return;
        }

        TextReport.Write(output, AdviceTables.Table(advice));
        string?[] lines = ["", .. AdviceTables.Curve(advice), "", advice.Answer, advice.Command is { } command ? $"  {command}" : null, advice.OutputNote, advice.Warning];
        foreach (string line in lines.OfType<string>())
        {
            output.WriteLine(line);
        }
    }

    private static int Finish(Advice advice) =>
        advice.Failure is { } failure ? HecaCommandLine.Fail(ExitStatus.Failed, failure)
        : advice.Settings.SameOutput && advice.OutputNote is { } note ? HecaCommandLine.Fail(ExitStatus.Failed, $"--same-output: {note}")
        : ExitStatus.Done;
}
