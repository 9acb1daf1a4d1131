using System.Text.Json.Serialization;
using Hecatonchire.Lending;
using Hecatonchire.Membership;
using Hecatonchire.Pager;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli.Cluster;

/// <summary>What an etcd says: which sponsors are registered there, or why that is not known.</summary>
internal sealed record EtcdReport
{
    /// <summary>http://HOST:PORT of its members.</summary>
    public required string Etcd { get; init; }

    /// <summary>The cluster that its sponsors are, as 32 hexadecimal digits; null where that is not known.</summary>
    public string? Cluster { get; init; }

    /// <summary>Why etcd does not answer; null where it does.</summary>
    public string? Problem { get; init; }

    /// <summary>Where each is reached.</summary>
    [JsonIgnore]
    public IReadOnlyList<SponsorEndpoint> Sponsors { get; init; } = [];

    /// <summary>Waits for ten seconds at most. Keys that are malformed are told on standard error.</summary>
    public static EtcdReport Ask(EtcdAddress address)
    {
        using ILoggerFactory loggers = ConsoleLogging.Create(LogLevel.Warning);
        using var finder = new EtcdSponsors(new EtcdPlace(address, TimeSpan.FromSeconds(EtcdAddress.LeaseSecondsMin)), Guid.Empty, loggers.CreateLogger("heca.etcd"), isQuiet: true);
        string? problem = finder.WaitForFirst(isPatient: false);
        return new EtcdReport
        {
            Etcd = address.Names,
            Problem = problem,
            Cluster = finder.Cluster == Guid.Empty ? null : ClusterId.Format(finder.Cluster),
            Sponsors = [.. finder.Sponsors.Select(found => found.Endpoint)],
        };
    }
}
