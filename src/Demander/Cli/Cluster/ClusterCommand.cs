using System.CommandLine;
using Hecatonchire.Cli.Status;
using Hecatonchire.Control.Keys;
using Hecatonchire.Pager;
using Hecatonchire.Status;

namespace Hecatonchire.Cli.Cluster;

/// <summary>`heca cluster status`: what sponsors offer and have lent, and how whole the memory of this host's programs is.</summary>
internal static class ClusterCommand
{
    private const string Details =
        "Asks each sponsor that is named or registered in etcd, and every pager of this user on this host, or of all users for root. Ends with status 1 where a sponsor does not answer or a program's\n"
        + "stripes lack replicas.\n\n"
        + "Examples:\n"
        + "  heca cluster status --etcd http://10.0.0.9:2379\n"
        + "  heca cluster status --sponsor 10.0.0.2:7400 --sponsor-key a.public --sponsor 10.0.0.3:7400 --sponsor-key b.public\n";

    public static Command Create()
    {
        var sponsors = new SponsorOptions();
        var json = new Option<bool>("--json") { Description = "Print a JSON object instead of tables" };
        var status = new DetailedCommand("status", "Show sponsors, what they offer and have lent, and the programs of this host", Details) { json };
        sponsors.AddNamesTo(status);
        status.SetAction(parsed =>
        {
            EtcdReport? etcd = sponsors.ResolveEtcd(parsed) is { } address ? EtcdReport.Ask(address) : null;
            DemanderKey? key = sponsors.ResolveOwnKey(parsed);
            SponsorEndpoint[] named = sponsors.ResolveNames(parsed, ", or --etcd URL");
            if (etcd?.Problem is { } problem)
            {
                _ = HecaCommandLine.Fail(ExitStatus.Failed, problem);
            }

            SponsorEndpoint[] all = [.. named.Union(etcd?.Sponsors ?? [])];
            SponsorReport[] reports =
            [
                .. SponsorReports.AskAll(all, key).Zip(all, (report, sponsor) => report with { IsRegistered = etcd is null or { Problem: not null } ? null : etcd.Sponsors.Contains(sponsor) }),
            ];
            List<StatusReport> programs = StatusDirectory.Ask();
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(json))
            {
                output.WriteLine(ClusterReport.ToJson(reports, programs, etcd));
            }
            else
            {
                PlainTable.Write(output, SponsorReports.Columns(etcd is not null), reports.Select(report => SponsorReports.Cells(report, etcd is not null)));
                if (programs.Count > 0)
                {
                    output.WriteLine();
                    PlainTable.Write(output, ClusterReport.ProgramColumns, programs.Select(ClusterReport.ProgramCells));
                }
            }

            return etcd?.Problem is null && reports.All(report => report.Problem is null) && programs.All(program => program.StripesLacking == 0) ? ExitStatus.Done : ExitStatus.Failed;
        });
        return new Command("cluster", "Look at sponsors") { status };
    }
}
