using System.Globalization;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Pager;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Cluster;

/// <summary>What a sponsor says of itself, or why it says nothing.</summary>
internal sealed record SponsorReport
{
    public static readonly string[] Columns = ["sponsor", "state", "offered", "lent", "free", "demanders", "pages read", "pages written"];

    /// <summary>HOST:PORT.</summary>
    public required string Sponsor { get; init; }

    /// <summary>ok; full: no slab is free; drained: it offers nothing; asks_back: it has lent more than it offers by now; no_answer.</summary>
    public required string State { get; init; }

    /// <summary>Why there is no answer; null where there is one.</summary>
    public string? Problem { get; init; }

    public Guid? Id { get; init; }

    public long OfferedBytes { get; init; }

    public long LentBytes { get; init; }

    public long FreeBytes { get; init; }

    public long Demanders { get; init; }

    public long PagesRead { get; init; }

    public long PagesWritten { get; init; }

    public static SponsorReport Ask(SponsorEndpoint sponsor)
    {
        string name = $"{sponsor.Host}:{sponsor.Port}";
        try
        {
            using SponsorClient client = Observer.Connect(sponsor);
            StatsAnswer stats = client.Stats();
            return new SponsorReport
            {
                Sponsor = name,
                State = stats.LentBytes > stats.OfferedBytes ? "asks_back" : stats.OfferedBytes == 0 ? "drained" : stats.FreeBytes < client.Hello.SlabBytesMin ? "full" : "ok",
                Id = client.Hello.Sponsor,
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

    /// <summary>As in <see cref="Columns"/>.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public string[] Cells => Problem is not null
        ? [Sponsor, Problem]
        :
        [
            Sponsor, State.Replace('_', ' '), new ByteSize(OfferedBytes).ToString(), new ByteSize(LentBytes).ToString(), new ByteSize(FreeBytes).ToString(),
            Demanders.ToString(CultureInfo.InvariantCulture), PagesRead.ToString("N0", CultureInfo.InvariantCulture), PagesWritten.ToString("N0", CultureInfo.InvariantCulture),
        ];
}
