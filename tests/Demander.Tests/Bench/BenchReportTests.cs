using System.Text.Json;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Metrics;
using Xunit;

namespace Hecatonchire.Tests.Bench;

/// <summary>The names are an interface: scripts read them.</summary>
public sealed class BenchReportTests
{
    private static readonly BenchResult Result = new()
    {
        Benchmark = "fault",
        System = "heca",
        Transport = "tcp",
        SizeBytes = 1 << 30,
        LocalBytes = 1 << 28,
        Threads = 1,
        Seed = 7,
        Prefetch = "none",
        Eviction = "s3-fifo",
        ElapsedS = 1.5,
        Accesses = 100,
        AccessesPerS = 67,
        PagesIn = 3,
        PagesOut = 4,
        PagesPrefetched = 5,
        PrefetchUsed = 6,
        PrefetchWasted = 7,
        PagesDropped = 8,
        PagesPerS = 9,
        Faults = 10,
        ResidentPeakBytes = 11,
        FaultUs = new LatencySummary(1, 2, 3, 4, 5),
        Verified = true,
        WorkerRssPeakBytes = 12,
        TouchPercentiles = [new LatencyPoint(99.9, 12.5)],
        CpuS = new CpuSeconds(0.1, 0.2, null, 0.4),
    };

    [Fact]
    public void Json_is_one_line_with_every_name_in_order()
    {
        var output = new StringWriter();
        BenchTable.WriteJson(output, Result);
        Assert.Equal(
            """
            {"benchmark":"fault","system":"heca","transport":"tcp","size_bytes":1073741824,"local_bytes":268435456,"threads":1,"seed":7,"prefetch":"none","eviction":"s3-fifo","elapsed_s":1.5,"baseline_s":null,"overhead_pct":null,"accesses":100,"accesses_per_s":67,"pages_in":3,"pages_out":4,"pages_prefetched":5,"prefetch_used":6,"prefetch_wasted":7,"pages_dropped":8,"pages_per_s":9,"faults":10,"resident_peak_bytes":11,"device_bytes":null,"fault_us":{"p50":1,"p90":2,"p99":3,"p999":4,"max":5},"touch_us":null,"touch_percentiles":[{"percent":99.9,"us":12.5}],"floor_us":null,"floor_pages_per_s":null,"floor_ratio":null,"breakdown":null,"verified":true,"worker_rss_peak_bytes":12,"cpu_s":{"worker":0.1,"pager":0.2,"sponsor":null,"host":0.4}}
            """,
            output.ToString().TrimEnd());
    }

    [Fact]
    public void The_table_has_a_column_per_result_and_says_when_data_were_wrong()
    {
        var output = new StringWriter();
        BenchTable.Write(output, [Result, Result with { Benchmark = "scan", Verified = false }]);
        string text = output.ToString();
        Assert.Contains("fault", text, StringComparison.Ordinal);
        Assert.Contains("scan", text, StringComparison.Ordinal);
        Assert.Contains("NO", text, StringComparison.Ordinal);
        Assert.DoesNotContain("overhead", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Percentiles_are_microseconds_and_none_without_records()
    {
        var histogram = new LatencyHistogram();
        Assert.Null(LatencySummary.Of(histogram));
        histogram.Record(10_000);
        Assert.Equal(new LatencySummary(10, 10, 10, 10, 10), LatencySummary.Of(histogram));
    }

    [Fact]
    public void The_curve_ends_where_no_record_lies_above()
    {
        var histogram = new LatencyHistogram();
        Assert.Null(LatencySummary.PercentilesOf(histogram));
        for (int i = 1; i <= 1000; i++)
        {
            histogram.Record(i * 1000);
        }

        LatencyPoint[] points = LatencySummary.PercentilesOf(histogram)!;
        Assert.Equal((1, 99.9), (points[0].Percent, points[^1].Percent));
        Assert.InRange(points.Single(p => p.Percent == 50).Us, 500, 516);
        Assert.Equal(points.OrderBy(p => p.Us), points);
    }

    [Fact]
    public void Lines_between_worker_and_parent_leave_out_what_they_do_not_say()
    {
        Assert.Equal(
            """{"phase":"fill","done":1,"total":2}""",
            JsonSerializer.Serialize(new WorkerLine("fill") { Done = 1, Total = 2 }, BenchJson.Line));
    }

    [Fact]
    public void Reads_what_the_floor_prints()
    {
        FloorProcess.Floor fault = FloorProcess.Parse(
            """{"mode":"fault","count":10,"p50_us":1.5,"p90_us":2,"p99_us":3,"p999_us":4,"max_us":5,"verified":true,"pinned":true}""");
        Assert.Equal(new LatencySummary(1.5, 2, 3, 4, 5), fault.Latencies);
        FloorProcess.Floor scan = FloorProcess.Parse(
            """{"mode":"scan","count":10,"window":64,"depth":2,"elapsed_s":0.1,"pages_per_s":300000,"verified":true,"pinned":true}""");
        Assert.Equal(300_000, scan.PagesPerS);
    }

    [Fact]
    public void The_floor_does_the_same_work()
    {
        var fault = new WorkloadOptions { Kind = WorkloadKind.Fault, Bytes = 8 << 20, Seed = 9, Accesses = 500 };
        Assert.Equal(["fault", "--size", "8388608", "--count", "500", "--seed", "9", "--pin", "no"], FloorProcess.Arguments(fault));
        Assert.Equal(
            ["scan", "--size", "8388608", "--window", "64", "--depth", "2"], FloorProcess.Arguments(fault with { Kind = WorkloadKind.Scan }));
    }
}
