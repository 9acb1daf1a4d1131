using Hecatonchire.Transport.Tcp;

namespace Hecatonchire.Transport.Reconnecting;

/// <summary>The times of a <see cref="DataLink"/>.</summary>
internal sealed record DataLinkOptions
{
    /// <summary>
    /// How long a broken link is tried to be rebuilt before the sponsor is given up: what TCP gives a sponsor that does not answer. Also how long
    /// connections may break again and again without a single request completing in between.
    /// </summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromMilliseconds(TcpSockets.DemanderTimeoutMs);

    /// <summary>Between two attempts: long enough not to burden a sponsor that comes to itself, short for a program that stands still.</summary>
    public TimeSpan RetryPause { get; init; } = TimeSpan.FromMilliseconds(100);
}
