using Hecatonchire.Pages;

namespace Hecatonchire.Eviction;

/// <summary>The eviction policies a user can choose, and their names on the command line and in the report.</summary>
internal enum EvictionKind
{
    Fifo,
    S3Fifo,
    Sieve,
    BehindStream,
}

internal static class EvictionKinds
{
    /// <summary>Best on the whole where run times were compared: docs/adr/0004.</summary>
    public const EvictionKind Default = EvictionKind.Sieve;

    /// <summary>All names, as a help text has them: <c>fifo|s3-fifo|...</c>.</summary>
    public static string All => string.Join('|', Enum.GetValues<EvictionKind>().Select(Name));

    public static string Name(this EvictionKind kind) => kind switch
    {
        EvictionKind.Fifo => "fifo",
        EvictionKind.S3Fifo => "s3-fifo",
        EvictionKind.Sieve => "sieve",
        _ => "behind-stream",
    };

    /// <summary>False when no policy has that name.</summary>
    public static bool TryParse(string? name, out EvictionKind kind)
    {
        foreach (EvictionKind candidate in Enum.GetValues<EvictionKind>())
        {
            if (candidate.Name() == name)
            {
                kind = candidate;
                return true;
            }
        }

        kind = default;
        return false;
    }

    public static EvictionPolicy Create(this EvictionKind kind, SegmentTable segments) => kind switch
    {
        EvictionKind.Fifo => new FifoEviction(segments),
        EvictionKind.S3Fifo => new S3FifoEviction(segments),
        EvictionKind.Sieve => new SieveEviction(segments),
        _ => new BehindStreamEviction(segments),
    };
}
