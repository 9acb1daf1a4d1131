using System.Globalization;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.Messages;
using Hecatonchire.Membership;
using Hecatonchire.Pager;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Cluster;

/// <summary>What a sponsor says of itself, or why it says nothing.</summary>
internal sealed record SponsorReport
{
    private static readonly string[] s_columns = ["sponsor", "state", "offered", "lent", "free", "demanders", "pages read", "pages written", "labels"];

    /// <summary>HOST:PORT.</summary>
    public required string Sponsor { get; init; }

    /// <summary>ok; full: no slab is free; drained: it offers nothing; asks_back: it has lent more than it offers by now; no_answer.</summary>
    public required string State { get; init; }

    /// <summary>Why there is no answer; null where there is one.</summary>
    public string? Problem { get; init; }

    /// <summary>As lasting as its keys.</summary>
    public Guid? Id { get; init; }

    /// <summary>New at each of its starts.</summary>
    public Guid? Instance { get; init; }

    /// <summary>The cluster that it belongs to, as 32 hexadecimal digits; null: to none.</summary>
    public string? Cluster { get; init; }

    public IReadOnlyDictionary<string, string> Labels { get; init; } = Control.Labels.None.Values;

    /// <summary>Whether it is registered in etcd; null where nobody knows.</summary>
    [System.Text.Json.Serialization.JsonPropertyName("registered")]
    public bool? IsRegistered { get; init; }

    public long OfferedBytes { get; init; }

    public long LentBytes { get; init; }

    public long FreeBytes { get; init; }

    public long Demanders { get; init; }

    public long PagesRead { get; init; }

    public long PagesWritten { get; init; }

    public static SponsorReport Ask(SponsorEndpoint sponsor, DemanderKey? key = null)
    {
        string name = $"{sponsor.Host}:{sponsor.Port}";
        try
        {
            using SponsorClient client = Observer.Connect(sponsor, key);
            StatsAnswer stats = client.Stats();
            return new SponsorReport
            {
                Sponsor = name,
                State = stats.LentBytes > stats.OfferedBytes ? "asks_back" : stats.OfferedBytes == 0 ? "drained" : stats.FreeBytes < client.Hello.SlabBytesMin ? "full" : "ok",
                Id = client.Hello.Sponsor,
                Instance = client.Hello.Instance,
                Cluster = client.Hello.Cluster == Guid.Empty ? null : ClusterId.Format(client.Hello.Cluster),
                Labels = client.Hello.Labels.Values,
                OfferedBytes = stats.OfferedBytes,
                LentBytes = stats.LentBytes,
                FreeBytes = stats.FreeBytes,
                Demanders = stats.Demanders,
                PagesRead = stats.PagesRead,
                PagesWritten = stats.PagesWritten,
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
    public string[] Cells(bool hasEtcd)
    {
        string[] cells = [.. Figures];
        return hasEtcd ? [cells[0], IsRegistered switch { true => "registered", false => "-", null => "?" }, .. cells[1..]] : cells;
    }

    private string[] Figures => Problem is not null
        ? [Sponsor, Problem]
        :
        [
            Sponsor, State.Replace('_', ' '), new ByteSize(OfferedBytes).ToString(), new ByteSize(LentBytes).ToString(), new ByteSize(FreeBytes).ToString(),
            Demanders.ToString(CultureInfo.InvariantCulture), PagesRead.ToString("N0", CultureInfo.InvariantCulture), PagesWritten.ToString("N0", CultureInfo.InvariantCulture),
            string.Join(',', Labels.Select(label => $"{label.Key}={label.Value}")),
        ];
}
