using System.Diagnostics.Metrics;

namespace Hecatonchire.Metrics;

/// <summary>
/// Reads the instruments of named meters, and latency histograms, into Prometheus text. Observable instruments are asked at
/// each <see cref="Collect"/>: hot paths use those, over plain per-thread fields. A Counter or UpDownCounter counts from
/// the collector's start on and takes a lock per Add, so it is for cold paths only. Thread-safe.
/// </summary>
internal sealed class MetricsCollector : IDisposable
{
    private readonly Lock _lock = new();
    private readonly MeterListener _listener = new();
    private readonly HashSet<string> _meters;
    private readonly LatencySource[] _latencies;
    private readonly Dictionary<Instrument, Dictionary<string, double>> _values = [];

    public MetricsCollector(IEnumerable<string> meterNames, params LatencySource[] latencies)
    {
        _meters = [.. meterNames];
        _latencies = latencies;
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (_meters.Contains(instrument.Meter.Name) && MetricName.TypeOf(instrument) is not null)
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        _listener.MeasurementsCompleted = (instrument, _) =>
        {
            lock (_lock)
            {
                _values.Remove(instrument);
            }
        };
        _listener.SetMeasurementEventCallback<long>((i, value, tags, _) => Record(i, value, tags));
        _listener.SetMeasurementEventCallback<int>((i, value, tags, _) => Record(i, value, tags));
        _listener.SetMeasurementEventCallback<double>((i, value, tags, _) => Record(i, value, tags));
        _listener.Start();
    }

    /// <summary>All families in the order of their names. An observer that throws fails the whole call.</summary>
    public string Collect()
    {
        // Held over the callbacks too, so that the figures of two scrapes do not mix; Lock is re-entrant.
        lock (_lock)
        {
            foreach ((Instrument instrument, Dictionary<string, double> values) in _values)
            {
                if (instrument.IsObservable)
                {
                    values.Clear();
                }
            }

            _listener.RecordObservableInstruments();
            var families = new SortedDictionary<string, Action<PrometheusTextWriter>>(StringComparer.Ordinal);
            foreach (IGrouping<string, Instrument> family in _values.Keys.GroupBy(MetricName.Of))
            {
                families[family.Key] = writer => WriteFamily(writer, family.Key, family);
            }

            foreach (LatencySource source in _latencies)
            {
                families[$"{source.Name}_seconds"] = writer => WriteLatencies(writer, source);
            }

            var text = new PrometheusTextWriter();
            foreach (Action<PrometheusTextWriter> write in families.Values)
            {
                write(text);
            }

            return text.ToString();
        }
    }

    public void Dispose() => _listener.Dispose();

    private static void WriteLatencies(PrometheusTextWriter writer, LatencySource source)
    {
        var copy = new LatencyHistogram();
        source.Copy(copy);
        writer.Histogram($"{source.Name}_seconds", source.Help, copy);
    }

    private void WriteFamily(PrometheusTextWriter writer, string name, IEnumerable<Instrument> instruments)
    {
        // Meters of the same name may exist several times (one per pager): equal labels add up.
        var samples = new SortedDictionary<string, double>(StringComparer.Ordinal);
        foreach ((string labels, double value) in instruments.SelectMany(i => _values[i]))
        {
            samples[labels] = samples.GetValueOrDefault(labels) + value;
        }

        if (samples.Count == 0)
        {
            return;
        }

        Instrument first = instruments.First();
        string help = string.IsNullOrWhiteSpace(first.Description) ? $"{first.Name}." : first.Description;
        writer.Family(name, MetricName.TypeOf(first)!, help);
        foreach ((string labels, double value) in samples)
        {
            writer.Sample(name, labels, value);
        }
    }

    private void Record(Instrument instrument, double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        string labels = PrometheusTextWriter.FormatLabels(tags);
        lock (_lock)
        {
            if (!_values.TryGetValue(instrument, out Dictionary<string, double>? values))
            {
                _values[instrument] = values = [];
            }

            bool adds = !instrument.IsObservable && instrument.GetType().GetGenericTypeDefinition() != typeof(Gauge<>);
            values[labels] = adds ? values.GetValueOrDefault(labels) + value : value;
        }
    }
}
