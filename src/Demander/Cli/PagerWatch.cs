using System.Net;
using Hecatonchire.Cli.Cluster;
using Hecatonchire.Lending;
using Hecatonchire.Metrics;
using Hecatonchire.Status;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli;

/// <summary>What lets a running pager be watched from outside: metrics and status page, and figures that are sent.</summary>
internal sealed class PagerWatch : IDisposable
{
    private readonly MetricsEndpoint? _endpoint;
    private readonly IDisposable? _export;

    private PagerWatch(MetricsEndpoint? endpoint, IDisposable? export) => (_endpoint, _export) = (endpoint, export);

    /// <summary>Where metrics and the page are; null: nowhere.</summary>
    public IPEndPoint? EndPoint => _endpoint?.EndPoint;

    /// <param name="daemon">heca run or heca pager.</param>
    /// <param name="settings">What was asked for.</param>
    /// <param name="instruments">The figures of all programs in one.</param>
    /// <param name="programs">Those that are served now.</param>
    /// <param name="borrowing">From whom they borrow; null: another process knows.</param>
    /// <param name="loggers">Of the pager.</param>
    /// <exception cref="IOException">With one line for the user: the port is taken.</exception>
    public static PagerWatch Start(
        string daemon, WatchSettings settings, PagerInstruments instruments, Func<IReadOnlyList<ServedProgram>> programs, Borrowing? borrowing, ILoggerFactory loggers)
    {
        MetricsEndpoint? endpoint = null;
        if (settings.Metrics is { } where)
        {
            var page = new PagerPage(daemon, programs, instruments, borrowing is null ? null : () => SponsorReports.AskAll(borrowing.All, borrowing.Key), settings.Events!);
            endpoint = MetricsEndpoint.Start(where, instruments.Registry, page.ToJson);
        }

        return new PagerWatch(
            endpoint, settings.Otlp is null ? null : OtlpExport.Start(settings.Otlp, daemon.Replace(' ', '-'), instruments.Registry, loggers.CreateLogger("heca.otlp")));
    }

    public void Dispose()
    {
        _endpoint?.Dispose();
        _export?.Dispose();
    }
}
