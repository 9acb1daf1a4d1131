using System.Globalization;
using System.Text.RegularExpressions;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>`--otlp`: what /metrics serves arrives at a collector, and a collector that is away disturbs nothing.</summary>
public sealed partial class OtlpTests
{
    /// <summary>For the programs that are started here; in milliseconds.</summary>
    public OtlpTests() => Environment.SetEnvironmentVariable("OTEL_METRIC_EXPORT_INTERVAL", "200");

    [Fact]
    public void What_metrics_serves_arrives_by_the_same_names_and_a_collector_that_goes_disturbs_nothing()
    {
        int port = PrometheusServer.FreePort(), sponsorPort = PrometheusServer.FreePort();
        using var ofSponsor = new OtlpCollector(sponsorPort);
        using var sponsor = new SponsorProcess("256MiB", "--otlp", $"http://127.0.0.1:{sponsorPort}");
        WatchedRun run;
        using (var collector = new OtlpCollector(port))
        {
            run = new WatchedRun([sponsor], "--otlp", $"http://127.0.0.1:{port}", "--log-level", "information");
            run.WaitUntilFilled();
            string[] scraped = [], arrived = [];
            string service = "";
            WaitFor(() =>
            {
                // The program stands still, but pages are written ahead for a while: when it is quiet, both say the same.
                scraped = [.. Samples(run.Metrics())];
                OtlpExport? last = collector.Received.LastOrDefault();
                arrived = [.. (last?.Figures ?? []).Select(figure => Line(figure.Name, figure.Labels, figure.Value)).Order(StringComparer.Ordinal)];
                service = last?.Resource.GetValueOrDefault("service.name") ?? "";
                return scraped.SequenceEqual(arrived);
            }, () => $"differ: {string.Join("; ", scraped.Except(arrived).Concat(arrived.Except(scraped)).Take(10))}");
            Assert.InRange(arrived.Length, 40, 500);
            Assert.Equal("heca-run", service);
            Assert.Empty(collector.Strange);
            Dictionary<string, string> kinds = collector.Received.Last().Figures.GroupBy(figure => figure.Name).ToDictionary(same => same.Key, same => same.First().Kind);
            Assert.Equal(("sum monotonic cumulative", "gauge", "sum monotonic cumulative"),
                (kinds["heca_pager_faults_total"], kinds["heca_pager_resident_bytes"], kinds["heca_pager_fault_latency_seconds_bucket"]));
        }

        using (run)
        {
            WaitFor(() => run.Told.Contains("do not arrive", StringComparison.Ordinal), () => $"it is not told that the collector is gone: {run.Told}");
            Assert.Single(DoesNotArrive().Matches(run.Told));
            Assert.NotEmpty(Samples(run.Metrics()));
            using (var again = new OtlpCollector(port))
            {
                WaitFor(() => !again.Received.IsEmpty && run.Told.Contains("arrive at", StringComparison.Ordinal) && run.Told.Contains("again\n", StringComparison.Ordinal) | run.Told.EndsWith("again", StringComparison.Ordinal), () => $"nothing arrives any more: {run.Told}");
            }

            run.Finish();
        }

        Assert.Contains(ofSponsor.Received, export => export.Resource["service.name"] == "heca-sponsor" && export.Figures.Any(figure => figure is { Name: "heca_sponsor_demander_lent_bytes", Value: > 0 } && figure.Labels.ContainsKey("demander")));
        Assert.Empty(ofSponsor.Strange);
    }

    [Fact]
    public void A_program_whose_collector_was_never_there_ends_as_it_would_without()
    {
        using var sponsor = new SponsorProcess("256MiB");
        (int status, string output, string error) = HecaRun.ToEnd(sponsor, TimeSpan.FromSeconds(60), "--local", "8MiB", "--otlp", $"http://127.0.0.1:{PrometheusServer.FreePort()}", "--", Programs.Test, "walk", "32", "2", "20000");
        Assert.True(status == 0, $"{status}: {output} {error}");
        Assert.InRange(DoesNotArrive().Count(error), 0, 1);
    }

    [Theory]
    [InlineData("10.0.0.9:4318")]
    [InlineData("ftp://10.0.0.9")]
    [InlineData("http://user:word@10.0.0.9")]
    public void What_is_no_collector_is_one_clear_line(string url)
    {
        (int status, string _, string error) = HecaRun.Command("run", "--embedded", "--otlp", url, "--", "true");
        Assert.Equal(2, status);
        Assert.StartsWith($"heca: --otlp '{url}': write the URL of a collector", error, StringComparison.Ordinal);
    }

    /// <summary>Each line of a scrape, its labels in order.</summary>
    private static IEnumerable<string> Samples(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(line => !line.StartsWith('#')).Select(line =>
    {
        Match sample = Sample().Match(line);
        Assert.True(sample.Success, line);
        Dictionary<string, string> labels = Label().Matches(sample.Groups["labels"].Value).ToDictionary(
            label => label.Groups["name"].Value, label => label.Groups["value"].Value.Replace("\\\"", "\"", StringComparison.Ordinal).Replace("\\\\", "\\", StringComparison.Ordinal));
        return Line(sample.Groups["name"].Value, labels, double.Parse(sample.Groups["value"].Value, CultureInfo.InvariantCulture));
    }).Order(StringComparer.Ordinal);

    private static string Line(string name, IReadOnlyDictionary<string, string> labels, double value) =>
        string.Create(CultureInfo.InvariantCulture, $"{name}{{{string.Join(',', labels.OrderBy(label => label.Key, StringComparer.Ordinal).Select(label => $"{label.Key}={label.Value}"))}}} {value:g12}");

    private static void WaitFor(Func<bool> condition, Func<string> otherwise)
    {
        for (long end = Environment.TickCount64 + 60_000; !condition(); Thread.Sleep(50))
        {
            Assert.True(Environment.TickCount64 < end, otherwise());
        }
    }

    [GeneratedRegex(@"^(?<name>\w+)(\{(?<labels>.*)\})? (?<value>\S+)$")]
    private static partial Regex Sample();

    [GeneratedRegex("(?<name>\\w+)=\"(?<value>([^\"\\\\]|\\\\.)*)\"")]
    private static partial Regex Label();

    [GeneratedRegex("do not arrive")]
    private static partial Regex DoesNotArrive();
}
