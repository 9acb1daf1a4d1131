using Hecatonchire.Control.Messages;

namespace Hecatonchire.Status;

/// <summary>What a sponsor says of itself, or why it says nothing.</summary>
internal sealed record SponsorReport
{
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

    /// <summary>Of a sponsor that says this of itself; <paramref name="slabBytesMin"/> is the least that it lends at a time.</summary>
    public static SponsorReport Of(string sponsor, StatsAnswer stats, long slabBytesMin) => new()
    {
        Sponsor = sponsor,
        State = stats.LentBytes > stats.OfferedBytes ? "asks_back" : stats.OfferedBytes == 0 ? "drained" : stats.FreeBytes < slabBytesMin ? "full" : "ok",
        OfferedBytes = stats.OfferedBytes,
        LentBytes = stats.LentBytes,
        FreeBytes = stats.FreeBytes,
        Demanders = stats.Demanders,
        PagesRead = stats.PagesRead,
        PagesWritten = stats.PagesWritten,
    };
}
