using System.Net;
using Hecatonchire.Control;
using Hecatonchire.Hosting;
using Hecatonchire.Membership;
using Hecatonchire.Transport;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Cli;

/// <summary>What a sponsor is started with, checked.</summary>
internal sealed record SponsorOptions
{
    public required IPAddress Listen { get; init; }

    /// <summary>Of the control channel; 0 takes any.</summary>
    public required int Port { get; init; }

    /// <summary>0 takes any.</summary>
    public required int DataPort { get; init; }

    public required TransportPreference Transport { get; init; }

    public required ByteSize Memory { get; init; }

    /// <summary>For what percentage of a second some program may wait for memory before lent memory is asked back; 0: never.</summary>
    public required int PressureMaxPercent { get; init; }

    /// <summary>Directory of sponsor.secret, sponsor.public and sponsor.admin.</summary>
    public required string Keys { get; init; }

    /// <summary>Who is served; null: a file in <see cref="Keys"/> says it, if it is there.</summary>
    public required string? Trust { get; init; }

    public required TimeSpan GoneAfter { get; init; }

    /// <summary>With <see cref="Labels.Host"/>.</summary>
    public required Labels Labels { get; init; }

    /// <summary>Where to register; null: nowhere.</summary>
    public required EtcdAddress? Etcd { get; init; }

    /// <summary>How long a registration outlives this sponsor.</summary>
    public required TimeSpan EtcdLease { get; init; }

    /// <summary>The address to register; null: those that it listens on.</summary>
    public required string? Advertise { get; init; }

    /// <summary>The cluster that it belongs to; zeros: etcd's, if there is one.</summary>
    public required Guid Cluster { get; init; }

    /// <summary>Where to serve metrics; null: nowhere.</summary>
    public required IPEndPoint? Metrics { get; init; }

    /// <summary>The collector to send figures to; null: none.</summary>
    public required Uri? Otlp { get; init; }

    public required bool Announce { get; init; }

    public required bool ExitWithStdin { get; init; }

    public required LogLevel LogLevel { get; init; }

    public required LogFormat LogFormat { get; init; }
}
