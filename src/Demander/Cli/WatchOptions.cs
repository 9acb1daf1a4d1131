using System.CommandLine;
using Hecatonchire.Hosting;
using Hecatonchire.Metrics;
using Hecatonchire.Status;

namespace Hecatonchire.Cli;

/// <summary>How a pager is watched: <c>--metrics</c>, <c>--otlp</c> and <c>--log-format</c>.</summary>
/// <param name="metrics">What is said of --metrics in the help.</param>
internal sealed class WatchOptions(string metrics)
{
    private readonly Option<string?> _metrics = new("--metrics") { HelpName = "HOST:PORT", Description = metrics };

    private readonly Option<string?> _otlp = new("--otlp")
    {
        HelpName = "URL",
        Description = "Send the figures to this OpenTelemetry collector, over OTLP/HTTP, such as http://10.0.0.9:4318; OTEL_METRIC_EXPORT_INTERVAL says how often [default: 60000 ms]",
    };

    private readonly Option<string> _logFormat = new("--log-format")
    {
        HelpName = DaemonLogging.Formats,
        DefaultValueFactory = _ => "text",
        Description = "How the log is written on standard error, one line an entry; journald: with the level as its priority, for a systemd unit",
    };

    public IEnumerable<Option> Options => [_metrics, _otlp, _logFormat];

    /// <summary>Throws <see cref="CommandException"/>.</summary>
    public WatchSettings Read(ParseResult parsed)
    {
        string? where = parsed.GetValue(_metrics), otlp = parsed.GetValue(_otlp);
        if (where is not null && !ListenAddress.TryParse(where, out _, out string error))
        {
            throw new CommandException($"--metrics: {error}", ExitStatus.Usage);
        }

        Uri? collector = null;
        if (otlp is not null && !OtlpExport.TryParse(otlp, out collector))
        {
            throw new CommandException($"--otlp '{otlp}': {OtlpExport.Rule}", ExitStatus.Usage);
        }

        return DaemonLogging.TryParse(parsed.GetValue(_logFormat), out LogFormat? format)
            ? new WatchSettings { Metrics = where, Otlp = collector, LogFormat = format.Value, Events = where is null ? null : new EventRing(TimeProvider.System) }
            : throw new CommandException($"--log-format '{parsed.GetValue(_logFormat)}': write text, json or journald", ExitStatus.Usage);
    }
}

/// <summary>How a pager is watched, checked.</summary>
internal sealed record WatchSettings
{
    /// <summary>Where to serve metrics and the status page; null: nowhere.</summary>
    public required string? Metrics { get; init; }

    /// <summary>Where to send the figures; null: nowhere.</summary>
    public required Uri? Otlp { get; init; }

    public required LogFormat LogFormat { get; init; }

    /// <summary>What the status page shows of the log; null: there is no page.</summary>
    public required EventRing? Events { get; init; }
}
