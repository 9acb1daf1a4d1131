using System.CommandLine;
using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Cli.Bench;

/// <summary>`heca bench report DIR`: the report again, from what a suite has measured, whole or not yet.</summary>
internal static class ReportCommand
{
    public static Command Create()
    {
        var directory = new Argument<string>("DIR") { Description = "Where a suite's results.json is" };
        var readme = new Option<bool>("--readme") { Description = "Print the summary with command and machine as Markdown, and write nothing" };
        var command = new Command("report", "Make the report of a suite again") { directory, readme };
        command.SetAction(parsed =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            string from = parsed.GetValue(directory)!;
            SuiteResults results = SuiteStore.Read(from);
            if (parsed.GetValue(readme))
            {
                MarkdownReport.Write(output, SuiteReport.Excerpt(results));
                return ExitStatus.Done;
            }

            ReportFiles.Write(from, results);
            output.WriteLine($"{Path.Combine(from, ReportFiles.Html)}, {Path.Combine(from, ReportFiles.Markdown)}");
            return ExitStatus.Done;
        });
        return command;
    }
}
