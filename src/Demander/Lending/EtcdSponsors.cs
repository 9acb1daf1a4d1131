using System.Net;
using System.Net.NetworkInformation;
using Hecatonchire.Membership;
using Hecatonchire.Pager;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Lending;

/// <summary>Which etcd to look for sponsors in, and how long a demander's lease there outlives it.</summary>
internal sealed record EtcdPlace(EtcdAddress Address, TimeSpan Lease);

/// <summary>The sponsors that are registered in an etcd.</summary>
internal sealed partial class EtcdSponsors : ISponsorFinder
{
    /// <summary>An etcd that is there answers in a fraction of a second.</summary>
    private static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(10);

    private readonly EtcdPlace _place;
    private readonly DemanderMembership _membership;
    private readonly ILogger _logger;
    private readonly IPNetwork[] _networks = NetworksHere();

    /// <param name="place">It need not answer now.</param>
    /// <param name="cluster">What the user said; zeros: etcd's.</param>
    /// <param name="logger">Told what an operator should know.</param>
    /// <param name="isQuiet">That etcd does not answer is not told: who asks <see cref="WaitForFirst"/> tells it.</param>
    public EtcdSponsors(EtcdPlace place, Guid cluster, ILogger logger, bool isQuiet = false)
    {
        (_place, _logger) = (place, logger);
        _membership = new DemanderMembership(place.Address, cluster, LogWarning, isQuiet ? static _ => { } : LogWarning);
    }

    public IReadOnlyList<FoundSponsor> Sponsors => [.. Records.Select(record => new FoundSponsor(EndpointOf(record), record.Instance))];

    /// <summary>What they say of themselves, as last seen.</summary>
    public IReadOnlyList<SponsorRecord> Records => _membership.Sponsors;

    public bool IsLive => _membership.IsLive;

    public Guid Cluster => _membership.Cluster;

    /// <summary>Waits until it is known which sponsors there are; null then, else one line that says why it is not. Without patience that etcd does not answer once is enough.</summary>
    public string? WaitForFirst(bool isPatient) =>
        _membership.WaitForFirst(AnswerTime, isPatient) ? null : _membership.Problem ?? $"etcd {_place.Address.Names}: no answer within {AnswerTime.TotalSeconds} s";

    public IDemanderLease Own(Guid demander, TimeSpan afterDeath) =>
        new DemanderLease(_membership.Own(demander, $"{Environment.MachineName}-{Environment.ProcessId}", _place.Lease + afterDeath));

    /// <summary>Of its addresses the one that is in a network of this host, where there is one; else the first.</summary>
    public SponsorEndpoint EndpointOf(SponsorRecord record) => new(
        record.Addresses.FirstOrDefault(text => record.Addresses.Count > 1 && IPAddress.TryParse(text, out IPAddress? address) && Array.Exists(_networks, network => network.Contains(address)))
            ?? record.Addresses[0],
        record.Port,
        record.PublicKey);

    public void Dispose() => _membership.Dispose();

    private sealed class DemanderLease(Registration registration) : IDemanderLease
    {
        public void End(bool releases) => registration.End(releases);
    }

    private static IPNetwork[] NetworksHere() =>
    [
        .. NetworkInterface.GetAllNetworkInterfaces()
            .Where(network => network.OperationalStatus == OperationalStatus.Up)
            .SelectMany(network => network.GetIPProperties().UnicastAddresses)
            .Select(unicast => new IPNetwork(unicast.Address.MaskedBy(unicast.PrefixLength), unicast.PrefixLength)),
    ];

    [LoggerMessage(Level = LogLevel.Warning, Message = "{What}")]
    private partial void LogWarning(string what);
}

/// <summary>Arithmetic of addresses that the framework does not have.</summary>
internal static class AddressBits
{
    /// <summary>The address with all bits after the first so many 0.</summary>
    public static IPAddress MaskedBy(this IPAddress address, int prefixLength)
    {
        byte[] bytes = address.GetAddressBytes();
        for (int i = 0; i < bytes.Length; i++)
        {
            int bits = Math.Clamp(prefixLength - (8 * i), 0, 8);
            bytes[i] &= (byte)(0xff << (8 - bits));
        }

        return new IPAddress(bytes);
    }
}
