using System.CommandLine;
using Hecatonchire.Status;

namespace Hecatonchire.Cli.Status;

/// <summary>`heca status [--json]`: the programs that run under a pager on this host, once.</summary>
internal static class StatusCommand
{
    private const string Details =
        "Asks every running `heca run` of this user, or of all users for root. `here` is what of the program's memory is resident, `of` what\n"
        + "may be, `remote` what only the sponsor has; in and out are pages of 4 KiB. With --json, an array of all the pagers tell.\n";

    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "Print a JSON array instead of a table" };
        var command = new DetailedCommand("status", "Show the programs that run with sponsored memory: what is here, what is remote, how fast", Details) { json };
        command.SetAction(parsed =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            List<StatusReport> reports = StatusDirectory.Ask();
            if (parsed.GetValue(json))
            {
                output.WriteLine(StatusReport.ToJson(reports));
            }
            else if (reports.Count == 0)
            {
                output.WriteLine("no program runs under `heca run`");
            }
            else if (ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected)
            {
                TextConsole.Create(output).Write(StatusTable.Create(reports));
            }
            else
            {
                StatusTable.WritePlain(output, reports);
            }

            return ExitStatus.Done;
        });
        return command;
    }
}
