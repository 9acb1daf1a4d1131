using Hecatonchire.Pager;
using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Lending;

/// <summary>From whom a program's memory is borrowed, and how it is spread over them.</summary>
internal sealed record Borrowing
{
    public const long StripeBytesDefault = 1L << 30;

    /// <summary>Where the sponsors' control channels listen; one at least.</summary>
    public required IReadOnlyList<SponsorEndpoint> Sponsors { get; init; }

    /// <summary>On how many of them each page is, as long as there are so many.</summary>
    public int Replicas { get; init; } = 1;

    /// <summary>The largest run of slots that is borrowed at a time.</summary>
    public long StripeBytesMax { get; init; } = StripeBytesDefault;

    public ReadPolicy ReadPolicy { get; init; }

    /// <summary>True: a read that is late is asked of a second replica, where there is one.</summary>
    public bool Hedge { get; init; } = true;

    /// <summary>The file that takes what no sponsor has room for; null: none.</summary>
    public SpillPlace? Spill { get; init; }

    public static Borrowing From(SponsorEndpoint sponsor) => new() { Sponsors = [sponsor] };

    /// <summary>HOST:PORT of each.</summary>
    public string Names => string.Join(", ", Sponsors.Select(sponsor => $"{sponsor.Host}:{sponsor.Port}"));
}

/// <summary>A directory on a local disk, or a file in one that is not there, and how much of the disk may be taken, in bytes.</summary>
internal sealed record SpillPlace(string Path, long BytesMax);
