using System.CommandLine;
using Hecatonchire.Host;

namespace Hecatonchire.Cli.Check;

/// <summary>`heca check [--json]`: what this host has for a pager, what it lacks, and how to mend it.</summary>
internal static class CheckCommand
{
    /// <summary>Exit status 0, or 3 where the host cannot run a pager.</summary>
    public static Command Create()
    {
        var json = new Option<bool>("--json") { Description = "Print one JSON object instead of a table" };
        var command = new Command("check", "Probe this host: what a pager needs, what is there, and the command that mends what is not") { json };
        command.SetAction(parsed =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            IReadOnlyList<HostProbe> probes = HostInspection.Inspect(HostFacts.Read());
            if (parsed.GetValue(json))
            {
                CheckReport.WriteJson(output, probes);
            }
            else if (ReferenceEquals(output, Console.Out) && !Console.IsOutputRedirected)
            {
                CheckReport.WriteTable(probes);
            }
            else
            {
                CheckReport.WritePlain(output, probes);
            }

            return CheckReport.IsUsable(probes) ? 0 : HostRequirements.ExitStatus;
        });
        return command;
    }
}
