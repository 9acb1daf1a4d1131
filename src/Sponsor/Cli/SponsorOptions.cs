using System.Net;
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

    public required TimeSpan GoneAfter { get; init; }

    /// <summary>Where to serve metrics; null: nowhere.</summary>
    public required IPEndPoint? Metrics { get; init; }

    public required bool Announce { get; init; }

    public required bool ExitWithStdin { get; init; }

    public required LogLevel LogLevel { get; init; }
}
