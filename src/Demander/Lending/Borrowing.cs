using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Pager;
using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Lending;

/// <summary>From whom a program's memory is borrowed, and how it is spread over them.</summary>
internal sealed record Borrowing
{
    public const long StripeBytesDefault = 1L << 30;

    /// <summary>Where the control channels of the sponsors listen that the user has named; one at least, unless others are found.</summary>
    public required IReadOnlyList<SponsorEndpoint> Sponsors { get; init; }

    /// <summary>The key to show to sponsors that serve only those they trust; null: none.</summary>
    public DemanderKey? Key { get; init; }

    /// <summary>Where to look for more; null: nowhere.</summary>
    public EtcdPlace? Etcd { get; init; }

    /// <summary>What finds more, opened; null: nothing. Its owner's, who disposes it after all that borrow.</summary>
    public ISponsorFinder? Finder { get; init; }

    /// <summary>The cluster that a sponsor must not be of another than; zeros: what the finder says, or any.</summary>
    public Guid Cluster { get; init; }

    /// <summary>The label in which the replicas of a stripe differ, where that can be.</summary>
    public string Spread { get; init; } = Labels.Host;

    /// <summary>That label, and where it cannot be had the host: what one failure takes is the least there.</summary>
    public string[] SpreadLevels => Spread == Labels.Host ? [Labels.Host] : [Spread, Labels.Host];

    /// <summary>On how many of them each page is, as long as there are so many.</summary>
    public int Replicas { get; init; } = 1;

    /// <summary>The largest run of slots that is borrowed at a time.</summary>
    public long StripeBytesMax { get; init; } = StripeBytesDefault;

    public ReadPolicy ReadPolicy { get; init; }

    /// <summary>True: a read that is late is asked of a second replica, where there is one.</summary>
    public bool Hedge { get; init; } = true;

    /// <summary>The file that takes what no sponsor has room for; null: none.</summary>
    public SpillPlace? Spill { get; init; }

    /// <summary>True: pages are sealed before they leave this host.</summary>
    public bool Seal { get; init; }

    public static Borrowing From(SponsorEndpoint sponsor) => new() { Sponsors = [sponsor] };

    /// <summary>Those that were named and those that are found by now, each once.</summary>
    public IReadOnlyList<SponsorEndpoint> All => Finder is null ? Sponsors : [.. Sponsors.Union(Finder.Sponsors.Select(found => found.Endpoint))];

    /// <summary>The cluster that a sponsor must not be of another than, as far as that is known; zeros: any.</summary>
    public Guid ClusterNow => Cluster != Guid.Empty ? Cluster : Finder?.Cluster ?? Guid.Empty;

    /// <summary>HOST:PORT of each.</summary>
    public string Names => string.Join(", ", All.Select(sponsor => $"{sponsor.Host}:{sponsor.Port}"));

    /// <summary>Null for a sponsor that may lend; else why not, in one line.</summary>
    public string? Obstacle(SponsorEndpoint sponsor, Guid cluster) => cluster == Guid.Empty || ClusterNow == Guid.Empty || cluster == ClusterNow
        ? null
        : $"sponsor {sponsor.Host}:{sponsor.Port} is of cluster {cluster:N}, and this demander of {ClusterNow:N}";
}

/// <summary>A directory on a local disk, or a file in one that is not there, and how much of the disk may be taken, in bytes.</summary>
internal sealed record SpillPlace(string Path, long BytesMax);
