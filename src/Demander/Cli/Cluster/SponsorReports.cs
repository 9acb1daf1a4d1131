using System.Globalization;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Membership;
using Hecatonchire.Pager;
using Hecatonchire.Status;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Cluster;

/// <summary>Asks sponsors what they say of themselves, and puts it into tables.</summary>
internal static class SponsorReports
{
    private static readonly string[] s_columns = ["sponsor", "state", "offered", "lent", "free", "demanders", "pages read", "pages written", "labels"];

    /// <summary>All at once, in their order. Waits for who does not answer for some seconds.</summary>
    public static SponsorReport[] AskAll(IReadOnlyCollection<SponsorEndpoint> sponsors, DemanderKey? key = null) =>
        [.. sponsors.AsParallel().AsOrdered().WithDegreeOfParallelism(Math.Clamp(sponsors.Count, 1, 64)).Select(sponsor => Ask(sponsor, key))];

    public static SponsorReport Ask(SponsorEndpoint sponsor, DemanderKey? key = null)
    {
        string name = $"{sponsor.Host}:{sponsor.Port}";
        try
        {
            using SponsorClient client = Observer.Connect(sponsor, key);
            return SponsorReport.Of(name, client.Stats(), client.Hello.SlabBytesMin) with
            {
                Id = client.Hello.Sponsor,
                Instance = client.Hello.Instance,
                Cluster = client.Hello.Cluster == Guid.Empty ? null : ClusterId.Format(client.Hello.Cluster),
                Labels = client.Hello.Labels.Values,
            };
        }
        catch (SponsorException e)
        {
            return new SponsorReport { Sponsor = name, State = "no_answer", Problem = e.Message };
        }
    }

    /// <summary>The heads of the columns, with one for what etcd says.</summary>
    public static string[] Columns(bool hasEtcd) => hasEtcd ? [s_columns[0], "etcd", .. s_columns[1..]] : s_columns;

    /// <summary>As in <see cref="Columns"/>.</summary>
    public static string[] Cells(SponsorReport report, bool hasEtcd)
    {
        string[] cells = [.. Figures(report)];
        return hasEtcd ? [cells[0], report.IsRegistered switch { true => "registered", false => "-", null => "?" }, .. cells[1..]] : cells;
    }

    private static string[] Figures(SponsorReport report) => report.Problem is not null
        ? [report.Sponsor, report.Problem]
        :
        [
            report.Sponsor, report.State.Replace('_', ' '), new ByteSize(report.OfferedBytes).ToString(), new ByteSize(report.LentBytes).ToString(), new ByteSize(report.FreeBytes).ToString(),
            report.Demanders.ToString(CultureInfo.InvariantCulture), report.PagesRead.ToString("N0", CultureInfo.InvariantCulture), report.PagesWritten.ToString("N0", CultureInfo.InvariantCulture),
            string.Join(',', report.Labels.Select(label => $"{label.Key}={label.Value}")),
        ];
}
