using System.Text;
using Hecatonchire.Metrics;
using Xunit;

namespace Hecatonchire.Tests.Metrics;

public sealed class MetricsRegistryTests
{
    private readonly MetricsRegistry _registry = new();

    [Fact]
    public void Golden_text()
    {
        _registry.Counter("heca_test_faults_total", "Faults so far.", () => 42);
        _registry.Gauge("heca_test_lent_bytes", "Lent memory.", () => 1L << 40);
        _registry.Counters("heca_test_refused_total", "Refused.", "reason", () => [("Full", 3), ("Token", 0)]);
        _registry.Gauges("heca_test_connections", "Connections.", ["demander", "kind"], () => [(["b\"\\\n", "7"], 3), (["a", ""], 2)]);
        LatencyHistogram latencies = new();
        latencies.Record(1_500);
        latencies.Record(13_000);
        latencies.Record(2_000_000_000);
        _registry.Latencies("heca_test_wait_seconds", "Waiting.", latencies.CopyTo);
        string[] expected =
        [
            "# HELP heca_test_faults_total Faults so far.", "# TYPE heca_test_faults_total counter", "heca_test_faults_total 42",
            "# HELP heca_test_lent_bytes Lent memory.", "# TYPE heca_test_lent_bytes gauge", "heca_test_lent_bytes 1099511627776",
            "# HELP heca_test_refused_total Refused.", "# TYPE heca_test_refused_total counter",
            "heca_test_refused_total{reason=\"Full\"} 3", "heca_test_refused_total{reason=\"Token\"} 0",
            "# HELP heca_test_connections Connections.", "# TYPE heca_test_connections gauge",
            "heca_test_connections{demander=\"a\",kind=\"\"} 2", "heca_test_connections{demander=\"b\\\"\\\\\\n\",kind=\"7\"} 3",
            "# HELP heca_test_wait_seconds Waiting.", "# TYPE heca_test_wait_seconds histogram",
            .. Buckets(0, "1e-06"), .. Buckets(1, "2e-06", "5e-06", "7.5e-06", "1e-05"),
            .. Buckets(2, "1.5e-05", "2e-05", "3e-05", "5e-05", "7.5e-05", "0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.5", "1"),
            .. Buckets(3, "+Inf"), "heca_test_wait_seconds_count 3",
        ];
        string[] lines = Lines();
        Assert.Equal(expected.Order(StringComparer.Ordinal), lines.Where(line => !line.StartsWith("heca_test_wait_seconds_sum ", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
        Assert.Equal(2.0000145, Value(lines, "heca_test_wait_seconds_sum"), 1e-9);
    }

    [Fact]
    public void A_histogram_goes_on_from_scrape_to_scrape_with_its_exact_count_and_sum()
    {
        LatencyHistogram latencies = new();
        _registry.Latencies("heca_test_wait_seconds", "Waiting.", latencies.CopyTo);
        Random random = new(3);
        double sum = 0;
        for (int scrape = 1; scrape <= 20; scrape++)
        {
            for (int i = 0; i < 1000; i++)
            {
                long nanoseconds = (long)Math.Exp(5 + (random.NextDouble() * 17));
                sum += nanoseconds / 1e9;
                latencies.Record(nanoseconds);
            }

            string[] lines = Lines();
            Assert.Equal(1000 * scrape, Value(lines, "heca_test_wait_seconds_count"));
            Assert.Equal(1000 * scrape, Value(lines, "heca_test_wait_seconds_bucket{le=\"+Inf\"}"));
            Assert.Equal(sum, Value(lines, "heca_test_wait_seconds_sum"), sum * 1e-9);
        }

        // Nothing new, and a source that has nothing any more (its pager does not answer), and has it again: what was told stays.
        Assert.Equal(20_000, Value(Lines(), "heca_test_wait_seconds_count"));
        LatencyHistogram all = new();
        latencies.CopyTo(all);
        latencies.Clear();
        Assert.Equal(20_000, Value(Lines(), "heca_test_wait_seconds_count"));
        all.CopyTo(latencies);
        Assert.Equal(20_000, Value(Lines(), "heca_test_wait_seconds_count"));
    }

    /// <summary>What goes out over OTLP is what a scrape shows, buckets included.</summary>
    [Fact]
    public void The_instruments_have_what_the_text_has()
    {
        _registry.Counter("heca_test_faults_total", "Faults so far.", () => 42);
        _registry.Gauge("heca_test_lent_bytes", "Lent memory.", () => 1L << 40);
        _registry.Counters("heca_test_refused_total", "Refused.", "reason", () => [("Full", 3), ("Token", 0)]);
        _registry.Gauges("heca_test_connections", "Connections.", ["demander", "kind"], () => [(["b", "7"], 3), (["a", "c"], 2)]);
        LatencyHistogram latencies = new();
        _registry.Latencies("heca_test_wait_seconds", "Waiting.", latencies.CopyTo);
        Random random = new(4);
        for (int scrape = 0; scrape < 5; scrape++)
        {
            for (int i = 0; i < 1000; i++)
            {
                latencies.Record((long)Math.Exp(5 + (random.NextDouble() * 17)));
            }

            _registry.Read();
            string[] ofInstruments = [.. _registry.Instruments.SelectMany(instrument => instrument.Figures.Select(figure => string.Create(
                System.Globalization.CultureInfo.InvariantCulture,
                $"{instrument.Name}{(figure.Labels.Length == 0 ? "" : $"{{{string.Join(',', figure.Labels.Select(label => $"{label.Key}=\"{label.Value}\""))}}}")} {figure.Value:g17}")))];
            string[] lines = Lines();
            const string Sum = "heca_test_wait_seconds_sum";
            Assert.Equal(
                lines.Where(line => !line.StartsWith('#') && line.Length > 0 && !line.StartsWith(Sum, StringComparison.Ordinal)).Order(StringComparer.Ordinal),
                ofInstruments.Where(line => !line.StartsWith(Sum, StringComparison.Ordinal)).Order(StringComparer.Ordinal));
            Assert.Equal(Value(lines, Sum), Value(ofInstruments, Sum), 1e-9);
        }
    }

    [Fact]
    public void A_counter_never_falls_a_gauge_does_and_vanished_labels_vanish()
    {
        long value = 5;
        string label = "first";
        _registry.Counter("heca_test_refused_total", "Refused.", () => value);
        _registry.Gauge("heca_test_open", "Open.", () => value);
        _registry.Gauges("heca_test_peer", "Peer.", ["peer"], () => [([label], value)]);
        string[] lines = Lines();
        Assert.Equal(5, Value(lines, "heca_test_refused_total"));
        Assert.Equal(5, Value(lines, "heca_test_peer{peer=\"first\"}"));
        (value, label) = (3, "second");
        lines = Lines();
        Assert.Equal(5, Value(lines, "heca_test_refused_total"));
        Assert.Equal(3, Value(lines, "heca_test_open"));
        Assert.Equal(3, Value(lines, "heca_test_peer{peer=\"second\"}"));
        Assert.DoesNotContain(lines, line => line.Contains("first", StringComparison.Ordinal));
    }

    [Fact]
    public void Promtool_finds_nothing_to_say_and_nothing_is_exported_that_was_not_added()
    {
        _registry.Counter("heca_test_pages_in_total", "Pages fetched.", () => long.MaxValue);
        _registry.Gauges("heca_test_resident_bytes", "Resident.", ["reason"], () => [(["a \"b\"\n\\c é"], 7)]);
        _registry.Gauges("heca_test_nobody", "None.", ["peer"], () => []);
        _registry.Latencies("heca_test_wait_seconds", "Waiting.", _ => { });
        string[] lines = Lines();
        Promtool.Check(string.Join('\n', lines) + "\n");
        Assert.All(lines, line => Assert.Contains("heca_test_", line, StringComparison.Ordinal));

        // The control: promtool does object to a counter without _total.
        MetricsRegistry bad = new();
        bad.Counter("heca_bad", "Bad.", () => 1);
        string text = Encoding.UTF8.GetString(bad.Collect());
        Assert.ThrowsAny<Exception>(() => Promtool.Check(text));
    }

    private static IEnumerable<string> Buckets(int count, params string[] bounds) =>
        bounds.Select(bound => $"heca_test_wait_seconds_bucket{{le=\"{bound}\"}} {count}");

    private static double Value(string[] lines, string name)
    {
        string line = Assert.Single(lines, line => line.StartsWith(name + " ", StringComparison.Ordinal));
        return double.Parse(line[(name.Length + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }

    private string[] Lines() =>
        Encoding.UTF8.GetString(_registry.Collect()).TrimEnd('\n').Split('\n');
}
