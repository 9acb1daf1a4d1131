using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Pager;

namespace Hecatonchire.Cli.Cluster;

/// <summary>A connection to a sponsor that borrows nothing.</summary>
internal static class Observer
{
    /// <summary>Of a sponsor that lives, some milliseconds.</summary>
    private static readonly TimeSpan s_answerTime = TimeSpan.FromSeconds(3);

    /// <summary>Throws <see cref="SponsorException"/>, <see cref="ZmqUnavailableException"/>.</summary>
    public static SponsorClient Connect(SponsorEndpoint sponsor, DemanderKey? key) => SponsorClient.Connect(
        sponsor.Host, sponsor.Port, sponsor.PublicKey, Guid.Empty, $"heca-{Environment.MachineName}", new SponsorClientOptions { RequestTimeout = s_answerTime, Key = key });
}
