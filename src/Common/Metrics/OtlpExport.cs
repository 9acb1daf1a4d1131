using System.Diagnostics.CodeAnalysis;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OpenTelemetry;
using OpenTelemetry.Exporter;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;

namespace Hecatonchire.Metrics;

/// <summary>
/// Sends the figures of a registry to an OpenTelemetry collector, over OTLP/HTTP, from a thread of its own: what /metrics serves, by the same names. A collector that is away,
/// or slow, costs nobody but that thread.
/// </summary>
internal sealed partial class OtlpExport : IDisposable
{
    public const string Rule = "write the URL of a collector, such as http://10.0.0.9:4318; without a path, /v1/metrics is added";

    /// <summary>OpenTelemetry's own name and unit for it, milliseconds.</summary>
    private const string IntervalVariable = "OTEL_METRIC_EXPORT_INTERVAL";

    private static readonly TimeSpan s_intervalDefault = TimeSpan.FromSeconds(60), s_intervalMin = TimeSpan.FromMilliseconds(100);

    /// <summary>For one attempt; a collector on the same network takes milliseconds.</summary>
    private static readonly TimeSpan s_timeMax = TimeSpan.FromSeconds(5);

    /// <summary>For the last figures at the end of a program that is waited for.</summary>
    private static readonly TimeSpan s_lastTimeMax = TimeSpan.FromSeconds(1);

    private readonly MetricsRegistry _registry;
    private readonly ILogger _logger;
    private readonly Uri _collector;
    private readonly Meter _meter = new("hecatonchire");
    private readonly MeterProvider _provider;
    private readonly BaseExportingMetricReader _reader;
    private readonly ManualResetEventSlim _stop = new();
    private readonly Thread _thread;
    private bool? _arrives;

    private OtlpExport(Uri collector, string service, MetricsRegistry registry, ILogger logger)
    {
        (_collector, _registry, _logger) = (collector, registry, logger);
        foreach (Instrument instrument in registry.Instruments)
        {
            Observe(instrument);
        }

        _reader = new BaseExportingMetricReader(new OtlpMetricExporter(new OtlpExporterOptions
        {
            Endpoint = collector,
            Protocol = OtlpExportProtocol.HttpProtobuf,
            TimeoutMilliseconds = (int)s_timeMax.TotalMilliseconds,
        }))
        { TemporalityPreference = MetricReaderTemporalityPreference.Cumulative };
        string version = typeof(OtlpExport).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
        _provider = Sdk.CreateMeterProviderBuilder()
            .SetResourceBuilder(ResourceBuilder.CreateEmpty()
                .AddService(service, serviceVersion: version, autoGenerateServiceInstanceId: false, serviceInstanceId: string.Create(CultureInfo.InvariantCulture, $"{Environment.MachineName}:{Environment.ProcessId}"))
                .AddAttributes([new("host.name", Environment.MachineName), new("process.pid", (long)Environment.ProcessId)])
                .AddEnvironmentVariableDetector())
            .AddMeter(_meter.Name)
            .AddReader(_reader)
            .Build();
        _thread = new Thread(Run) { Name = "heca-otlp", IsBackground = true };
        _thread.Start();
    }

    /// <summary>False for what is no URL of a collector.</summary>
    public static bool TryParse(string text, [NotNullWhen(true)] out Uri? collector)
    {
        collector = null;
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? url) || (url.Scheme != Uri.UriSchemeHttp && url.Scheme != Uri.UriSchemeHttps) || url.UserInfo.Length > 0 || url.Query.Length > 0)
        {
            return false;
        }

        collector = url.AbsolutePath == "/" ? new Uri(url, "v1/metrics") : url;
        return true;
    }

    /// <summary>Sends until it is disposed. Not inlined: who does not send loads nothing of OpenTelemetry.</summary>
    /// <param name="collector">Of <see cref="TryParse"/>.</param>
    /// <param name="service">service.name.</param>
    /// <param name="registry">The figures; all are added already.</param>
    /// <param name="logger">Told when the collector does not take them, and when it does again.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static IDisposable Start(Uri collector, string service, MetricsRegistry registry, ILogger logger) => new OtlpExport(collector, service, registry, logger);

    /// <summary>Sends the last figures, unless the collector was not there the last time; within a second.</summary>
    public void Dispose()
    {
        _stop.Set();
        _thread.Join(s_timeMax + s_lastTimeMax);
        _provider.Dispose();
        _meter.Dispose();
        _stop.Dispose();
    }

    private static TimeSpan Interval =>
        long.TryParse(Environment.GetEnvironmentVariable(IntervalVariable), NumberStyles.None, CultureInfo.InvariantCulture, out long milliseconds) && milliseconds < int.MaxValue
            ? TimeSpan.FromMilliseconds(Math.Max(milliseconds, s_intervalMin.TotalMilliseconds))
            : s_intervalDefault;

    private void Observe(Instrument instrument)
    {
        // Sums of whole numbers stay such; a histogram's sum of seconds does not.
        IEnumerable<Measurement<double>> Read() => instrument.Figures.Select(figure => new Measurement<double>(figure.Value, figure.Labels));
        IEnumerable<Measurement<long>> ReadWhole() => instrument.Figures.Select(figure => new Measurement<long>((long)figure.Value, figure.Labels));
        _ = (instrument.IsCount, instrument.IsWhole) switch
        {
            (true, true) => (object)_meter.CreateObservableCounter(instrument.Name, ReadWhole, null, instrument.Help),
            (true, false) => _meter.CreateObservableCounter(instrument.Name, Read, "s", instrument.Help),
            _ => _meter.CreateObservableGauge(instrument.Name, ReadWhole, null, instrument.Help),
        };
    }

    private void Run()
    {
        while (!_stop.Wait(Interval))
        {
            Send(s_timeMax);
        }

        if (_arrives == true)
        {
            Send(s_lastTimeMax);
        }
    }

    private void Send(TimeSpan within)
    {
        bool arrives;
        string why = "it does not answer, or refuses them";
        try
        {
            _registry.Read();
            arrives = _reader.Collect((int)within.TotalMilliseconds);
        }
#pragma warning disable CA1031 // An instrument's failure must not end the program; /metrics shows it too.
        catch (Exception e)
#pragma warning restore CA1031
        {
            (arrives, why) = (false, e.Message);
        }

        if (arrives != _arrives && !(arrives && _arrives is null))
        {
            if (arrives)
            {
                Arrives(_logger, _collector);
            }
            else
            {
                DoesNotArrive(_logger, _collector, why);
            }
        }

        _arrives = arrives;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Figures do not arrive at {Collector}: {Why}; it is tried again and again, and nothing else waits for it")]
    private static partial void DoesNotArrive(ILogger logger, Uri collector, string why);

    [LoggerMessage(Level = LogLevel.Information, Message = "Figures arrive at {Collector} again")]
    private static partial void Arrives(ILogger logger, Uri collector);
}
