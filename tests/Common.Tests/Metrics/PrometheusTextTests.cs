using System.Diagnostics;
using System.Diagnostics.Metrics;
using Hecatonchire.Metrics;
using Xunit;

namespace Hecatonchire.Tests.Metrics;

public sealed class PrometheusTextTests : IDisposable
{
    private readonly Meter _meter = new($"Hecatonchire.Test.{Guid.NewGuid():N}");

    public void Dispose() => _meter.Dispose();

    [Fact]
    public void Golden_text()
    {
        _meter.CreateObservableCounter("heca_test_faults", () => 42L, "{fault}", "Faults so far.");
        _meter.CreateObservableGauge("sponsor.lent", () => 1.5, "By", "Lent memory,\nwith a \\ and a \"quote\".");
        _meter.CreateObservableUpDownCounter("heca_test_connections", () => new[]
        {
            new Measurement<int>(3, new KeyValuePair<string, object?>("demander", "b\"\\\n"), new KeyValuePair<string, object?>("kind", 7)),
            new Measurement<int>(2, new KeyValuePair<string, object?>("kind", null), new KeyValuePair<string, object?>("demander", "a")),
        });
        var latencies = new LatencyHistogram();
        latencies.Record(1_500);
        latencies.Record(13_000);
        latencies.Record(2_000_000_000);
        using var collector = new MetricsCollector([_meter.Name], new LatencySource("heca_test_wait", "Waiting.", latencies.CopyTo));
        Assert.Equal(
            """
            # HELP heca_sponsor_lent_bytes Lent memory,\nwith a \\ and a "quote".
            # TYPE heca_sponsor_lent_bytes gauge
            heca_sponsor_lent_bytes 1.5
            # HELP heca_test_connections heca_test_connections.
            # TYPE heca_test_connections gauge
            heca_test_connections{demander="a",kind=""} 2
            heca_test_connections{demander="b\"\\\n",kind="7"} 3
            # HELP heca_test_faults_total Faults so far.
            # TYPE heca_test_faults_total counter
            heca_test_faults_total 42
            # HELP heca_test_wait_seconds Waiting.
            # TYPE heca_test_wait_seconds histogram
            heca_test_wait_seconds_bucket{le="1E-06"} 0
            heca_test_wait_seconds_bucket{le="2E-06"} 1
            heca_test_wait_seconds_bucket{le="5E-06"} 1
            heca_test_wait_seconds_bucket{le="7.5E-06"} 1
            heca_test_wait_seconds_bucket{le="1E-05"} 1
            heca_test_wait_seconds_bucket{le="1.5E-05"} 2
            heca_test_wait_seconds_bucket{le="2E-05"} 2
            heca_test_wait_seconds_bucket{le="3E-05"} 2
            heca_test_wait_seconds_bucket{le="5E-05"} 2
            heca_test_wait_seconds_bucket{le="7.5E-05"} 2
            heca_test_wait_seconds_bucket{le="0.0001"} 2
            heca_test_wait_seconds_bucket{le="0.0002"} 2
            heca_test_wait_seconds_bucket{le="0.0005"} 2
            heca_test_wait_seconds_bucket{le="0.001"} 2
            heca_test_wait_seconds_bucket{le="0.002"} 2
            heca_test_wait_seconds_bucket{le="0.005"} 2
            heca_test_wait_seconds_bucket{le="0.01"} 2
            heca_test_wait_seconds_bucket{le="0.02"} 2
            heca_test_wait_seconds_bucket{le="0.05"} 2
            heca_test_wait_seconds_bucket{le="0.1"} 2
            heca_test_wait_seconds_bucket{le="0.5"} 2
            heca_test_wait_seconds_bucket{le="1"} 2
            heca_test_wait_seconds_bucket{le="+Inf"} 3
            heca_test_wait_seconds_sum 2.0000145
            heca_test_wait_seconds_count 3

            """, collector.Collect());
    }

    [Fact]
    public void Counters_add_up_gauges_do_not_and_vanished_labels_vanish()
    {
        Counter<long> counter = _meter.CreateCounter<long>("heca_test_refused_total", "{request}", "Refused.");
        UpDownCounter<int> level = _meter.CreateUpDownCounter<int>("heca_test_open", null, "Open.");
        Gauge<double> gauge = _meter.CreateGauge<double>("heca_test_share", "1", "Share.");
        string label = "first";
        _meter.CreateObservableGauge("heca_test_peer", () => new Measurement<long>(1, new KeyValuePair<string, object?>("peer", label)), null, "Peer.");
        using var collector = new MetricsCollector([_meter.Name]);
        counter.Add(2);
        counter.Add(3);
        level.Add(4);
        level.Add(-1);
        gauge.Record(0.25);
        gauge.Record(0.5);
        string text = collector.Collect();
        Assert.Contains("heca_test_refused_total 5\n", text, StringComparison.Ordinal);
        Assert.Contains("heca_test_open 3\n", text, StringComparison.Ordinal);
        Assert.Contains("heca_test_share_ratio 0.5\n", text, StringComparison.Ordinal);
        Assert.Contains("heca_test_peer{peer=\"first\"} 1\n", text, StringComparison.Ordinal);
        label = "second";
        Assert.DoesNotContain("first", collector.Collect(), StringComparison.Ordinal);
    }

    [Fact]
    public void Other_meters_and_ended_meters_are_left_out()
    {
        using var collector = new MetricsCollector([_meter.Name]);
        using var other = new Meter("Somebody.Else");
        other.CreateObservableGauge("heca_test_other", () => 1);
        var ended = new Meter(_meter.Name);
        ended.CreateObservableGauge("heca_test_ended", () => 1);
        Assert.Contains("heca_test_ended", collector.Collect(), StringComparison.Ordinal);
        ended.Dispose();
        Assert.Equal("", collector.Collect());
    }

    [Fact]
    public void Promtool_finds_nothing_to_say()
    {
        _meter.CreateObservableCounter("heca_test_pages_in", () => long.MaxValue, "{page}", "Pages fetched.");
        _meter.CreateObservableGauge("heca_test_resident", () => new Measurement<long>(7, new KeyValuePair<string, object?>("reason", "a \"b\"\n\\c é")), "By", "Resident.");
        _meter.CreateObservableGauge("heca_test_odd_ratio", () => double.NaN, "1", "Not a number.");
        using var collector = new MetricsCollector([_meter.Name], new LatencySource("heca_test_wait", "Waiting.", _ => { }));
        Promtool.Check(collector.Collect());

        // The control: promtool does object to a counter without _total.
        var bad = new PrometheusTextWriter();
        bad.Family("heca_bad", "counter", "Bad.");
        bad.Sample("heca_bad", "", 1);
        Assert.ThrowsAny<Exception>(() => Promtool.Check(bad.ToString()));
    }
}
