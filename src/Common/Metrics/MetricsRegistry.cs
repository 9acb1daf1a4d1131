using System.Globalization;
using Prometheus;

namespace Hecatonchire.Metrics;

/// <summary>
/// Figures for Prometheus, by prometheus-net, and for OpenTelemetry. Each is given with the function that reads it, and is read at each
/// <see cref="Collect"/> and <see cref="Read"/>: the threads that do the work only add to fields of their own. Names are Prometheus' own, with unit and
/// <c>_total</c>. Nothing of the process or the runtime is exported beside them. Thread-safe once all is added.
/// </summary>
internal sealed class MetricsRegistry
{
    /// <summary>Upper bounds in nanoseconds, 1 us to 1 s; close together where a remote fault is expected (5 to 100 us).</summary>
    private static readonly long[] LatencyBounds =
    [
        1_000, 2_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 50_000, 75_000, 100_000, 200_000, 500_000,
        1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000, 100_000_000, 500_000_000, 1_000_000_000,
    ];

    private readonly CollectorRegistry _registry = Prometheus.Metrics.NewCustomRegistry();
    private readonly MetricFactory _factory;
    private readonly List<Action> _reads = [];
    private readonly List<Instrument> _instruments = [];
    private readonly Lock _scrape = new();

    public MetricsRegistry() => _factory = Prometheus.Metrics.WithCustomRegistry(_registry);

    /// <summary>
    /// What <see cref="Read"/> reads. A histogram is three of them, as Prometheus has it: <c>_bucket</c> with a label <c>le</c>, <c>_count</c> and <c>_sum</c>.
    /// </summary>
    public IReadOnlyList<Instrument> Instruments => _instruments;

    /// <summary>Runs before what is added after it is read, at each scrape: for figures that come together.</summary>
    public void Before(Action read) => _reads.Add(read);

    /// <summary>A count since the start. One that is smaller than it was keeps what it had.</summary>
    public void Counter(string name, string help, Func<long> value)
    {
        Counter counter = _factory.CreateCounter(name, help);
        Instrument instrument = Add(name, help, isCount: true);
        _reads.Add(() =>
        {
            counter.IncTo(value());
            instrument.Figures = [new Figure(counter.Value, [])];
        });
    }

    /// <summary>A count for each value of a label.</summary>
    public void Counters(string name, string help, string label, Func<IEnumerable<(string Label, long Value)>> values)
    {
        Counter counter = _factory.CreateCounter(name, help, label);
        Instrument instrument = Add(name, help, isCount: true);
        _reads.Add(() =>
        {
            List<Figure> figures = [];
            foreach ((string text, long value) in values())
            {
                Counter.Child one = counter.WithLabels(text);
                one.IncTo(value);
                figures.Add(new Figure(one.Value, [new(label, text)]));
            }

            instrument.Figures = figures;
        });
    }

    public void Gauge(string name, string help, Func<long> value)
    {
        Gauge gauge = _factory.CreateGauge(name, help);
        Instrument instrument = Add(name, help, isCount: false);
        _reads.Add(() =>
        {
            gauge.Set(value());
            instrument.Figures = [new Figure(gauge.Value, [])];
        });
    }

    /// <summary>A figure for each combination of labels; those not among <paramref name="values"/> any more vanish.</summary>
    public void Gauges(string name, string help, string[] labels, Func<IEnumerable<(string[] Labels, long Value)>> values)
    {
        Gauge gauge = _factory.CreateGauge(name, help, labels);
        Instrument instrument = Add(name, help, isCount: false);
        _reads.Add(() =>
        {
            HashSet<string[]> gone = [.. gauge.GetAllLabelValues()];
            List<Figure> figures = [];
            foreach ((string[] texts, long value) in values())
            {
                gone.RemoveWhere(known => known.SequenceEqual(texts));
                gauge.WithLabels(texts).Set(value);
                figures.Add(new Figure(value, [.. labels.Zip(texts, (label, text) => new KeyValuePair<string, object?>(label, text))]));
            }

            foreach (string[] texts in gone)
            {
                gauge.RemoveLabelled(texts);
            }

            instrument.Figures = figures;
        });
    }

    /// <summary>A histogram in seconds of what <paramref name="copy"/> fills its target with: all records so far. Fewer than there were change nothing.</summary>
    public void Latencies(string name, string help, Action<LatencyHistogram> copy)
    {
        Histogram histogram = _factory.CreateHistogram(
            name, help, new HistogramConfiguration { Buckets = [.. LatencyBounds.Select(bound => bound / 1e9)] });
        Instrument buckets = Add(name + "_bucket", help, isCount: true), count = Add(name + "_count", help, isCount: true), sum = Add(name + "_sum", help, isCount: true, isWhole: false);
        KeyValuePair<string, object?>[][] labels =
            [.. LatencyBounds.Select(bound => (bound / 1e9).ToString("g", CultureInfo.InvariantCulture)).Append("+Inf").Select(bound => new[] { new KeyValuePair<string, object?>("le", bound) })];
        long[] under = new long[labels.Length];
        LatencyHistogram told = new();
        LatencyHistogram now = new();
        _reads.Add(() =>
        {
            copy(now);
            if (now.Count >= told.Count)
            {
                now.Replay(told, histogram.Sum * 1e9, (nanoseconds, records) =>
                {
                    histogram.Observe(nanoseconds / 1e9, records);
                    for (int i = 0; i < under.Length; i++)
                    {
                        under[i] += i == LatencyBounds.Length || nanoseconds / 1e9 <= LatencyBounds[i] / 1e9 ? records : 0;
                    }
                });
                now.CopyTo(told);
            }

            buckets.Figures = [.. under.Zip(labels, (records, label) => new Figure(records, label))];
            count.Figures = [new Figure(histogram.Count, [])];
            sum.Figures = [new Figure(histogram.Sum, [])];
        });
    }

    /// <summary>Reads every figure, for <see cref="Instruments"/>. What a reading function throws is thrown.</summary>
    public void Read()
    {
        lock (_scrape)
        {
            // Not the registry's own callbacks before a scrape: those swallow what is thrown, and figures would stand still unnoticed.
            foreach (Action read in _reads)
            {
                read();
            }
        }
    }

    /// <summary>Reads every figure and gives the text of all, one scrape at a time. What a reading function throws is thrown.</summary>
    public byte[] Collect()
    {
        lock (_scrape)
        {
            Read();
            using MemoryStream text = new();
            _registry.CollectAndExportAsTextAsync(text).GetAwaiter().GetResult();
            return text.ToArray();
        }
    }

    private Instrument Add(string name, string help, bool isCount, bool isWhole = true)
    {
        var instrument = new Instrument(name, help, isCount) { IsWhole = isWhole };
        _instruments.Add(instrument);
        return instrument;
    }
}
