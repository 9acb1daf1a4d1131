using System.Net;
using Hecatonchire.Control.Messages;
using Hecatonchire.Membership;
using Hecatonchire.Metrics;
using Hecatonchire.Sponsor.Cli;
using Hecatonchire.Sponsor.Control;
using Hecatonchire.Sponsor.Slabs;
using Hecatonchire.Status;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Metrics;

/// <summary>A demander, and what it has.</summary>
internal sealed record DemanderReport(Guid Demander, string Name, long LentBytes);

/// <summary>What the status page shows of a sponsor: itself, as one of the sponsors, and to whom it lends.</summary>
internal sealed record SponsorPageReport : DaemonReport
{
    public required IReadOnlyList<DemanderReport> Demanders { get; init; }

    public required long DataConnections { get; init; }

    /// <summary>Data connections and control requests.</summary>
    public required long Refused { get; init; }
}

/// <summary>What lets a sponsor be watched from outside: metrics and status page, and figures that are sent.</summary>
internal sealed class SponsorWatch(
    SponsorOptions options, SponsorInstruments instruments, SlabStore store, SlabStoreOptions slabs, RequestHandler requests, ControlServerOptions control, EventRing events, ILoggerFactory loggers) : IDisposable
{
    private readonly DateTimeOffset _started = DateTimeOffset.UtcNow;
    private MetricsEndpoint? _endpoint;
    private IDisposable? _export;
    private string _name = "";

    /// <summary>Where metrics and the page are; null: nowhere.</summary>
    public IPEndPoint? EndPoint => _endpoint?.EndPoint;

    /// <param name="port">The control channel's: part of its name.</param>
    /// <exception cref="IOException">With one line for the user: the port is taken.</exception>
    public void Start(int port)
    {
        _name = new IPEndPoint(options.Listen, port).ToString();
        _endpoint = options.Metrics is null ? null : MetricsEndpoint.Start(options.Metrics.ToString(), instruments.Registry, ToJson);
        _export = options.Otlp is null ? null : OtlpExport.Start(options.Otlp, "heca-sponsor", instruments.Registry, loggers.CreateLogger("heca.otlp"));
    }

    public void Dispose()
    {
        _endpoint?.Dispose();
        _export?.Dispose();
        (_endpoint, _export) = (null, null);
    }

    private byte[] ToJson()
    {
        StatsAnswer stats = requests.Stats();
        return new SponsorPageReport
        {
            Daemon = "heca-sponsor",
            Started = _started,
            Now = DateTimeOffset.UtcNow,
            Sponsors =
            [
                SponsorReport.Of(_name, stats, slabs.SlabBytesMin) with
                {
                    Id = control.SponsorId,
                    Instance = control.Instance,
                    Cluster = control.Cluster() is var cluster && cluster == Guid.Empty ? null : ClusterId.Format(cluster),
                    Labels = control.Labels.Values,
                },
            ],
            Demanders = [.. store.LentByDemander().OrderByDescending(lent => lent.LentBytes).Select(lent => new DemanderReport(lent.Id, lent.Name, lent.LentBytes))],
            DataConnections = stats.DataConnections,
            Refused = stats.RequestsRefused,
            Events = events.Events,
        }.ToJson();
    }
}
