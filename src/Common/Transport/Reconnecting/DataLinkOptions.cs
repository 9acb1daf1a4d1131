namespace Hecatonchire.Transport.Reconnecting;

/// <summary>The times of a <see cref="DataLink"/>.</summary>
internal sealed record DataLinkOptions
{
    /// <summary>
    /// How long a broken link is tried to be rebuilt before the sponsor is given up; also how long connections may break again and again without
    /// a single request completing in between. After an outage of some seconds the control channel repeats itself late (TCP doubles its
    /// pauses), and an attempt over RDMA that fails takes 5 s before TCP's turn. Shorter than the 30 s after which a sponsor
    /// frees the slabs of who is gone.
    /// </summary>
    public TimeSpan GiveUpAfter { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Between two attempts: long enough not to burden a sponsor that comes to itself, short for a program that stands still.</summary>
    public TimeSpan RetryPause { get; init; } = TimeSpan.FromMilliseconds(100);
}
