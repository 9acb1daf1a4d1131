using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>deploy/grafana and deploy/prometheus against what a real sponsor and a real pager serve, with a real Prometheus between them.</summary>
public sealed partial class DashboardTests
{
    /// <summary>What Prometheus adds to each figure, and makes of a rule.</summary>
    private static readonly string[] s_addedLabels = ["job", "instance", "__name__", "alertname", "alertstate"];

    [Fact]
    public void Each_query_of_the_dashboard_and_of_the_rules_finds_what_real_daemons_serve_and_nothing_that_they_serve_is_left_out()
    {
        int pagerPort = PrometheusServer.FreePort(), sponsorPort = PrometheusServer.FreePort();
        using var sponsor = new SponsorProcess("256MiB", "--metrics", $"{sponsorPort}");
        using Process heca = HecaRun.Start(sponsor, "", "--local", "8MiB", "--metrics", $"{pagerPort}", "--", Programs.Test, "idle", "32");
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        using var prometheus = new PrometheusServer(("heca-sponsor", $"127.0.0.1:{sponsorPort}"), ("heca-pager", $"127.0.0.1:{pagerPort}"));
        for (long end = Environment.TickCount64 + 60_000; prometheus.Query("min(sum_over_time(up[1m])) >= 4") is not { Length: 1 }; Thread.Sleep(100))
        {
            Assert.True(Environment.TickCount64 < end, "Prometheus does not scrape");
        }

        JsonElement[] series = prometheus.Query("{__name__=~\"heca_.+\"}")!;
        HashSet<string> labels = [.. s_addedLabels, .. series.SelectMany(one => one.GetProperty("metric").EnumerateObject()).Select(label => label.Name)];
        string[] queries = [.. DashboardQueries()];
        Assert.InRange(queries.Length, 40, 200);
        Assert.All(queries, query =>
        {
            Assert.True(Finds(prometheus, query), $"finds nothing: {query}");
            AssertLabels(query, labels);
        });

        // Of a rule what it looks at: that it holds is promtool's to test.
        string rules = File.ReadAllText(Path.Combine(Programs.Root, "deploy/prometheus/heca.rules.yml"));
        string[] selectors = [.. Selector().Matches(rules).Select(found => found.Value)];
        Assert.InRange(selectors.Length, 20, 200);
        Assert.All(selectors, selector => Assert.True(Finds(prometheus, selector), $"finds nothing: {selector}"));
        AssertLabels(rules, labels);

        string all = string.Join('\n', queries);
        Assert.All(series.Select(one => one.GetProperty("metric").GetProperty("__name__").GetString()!).Distinct().Where(name => !name.EndsWith("_count", StringComparison.Ordinal) && !name.EndsWith("_sum", StringComparison.Ordinal)),
            name => Assert.Contains(name + "{", all, StringComparison.Ordinal));

        // The controls: a figure, and a label, that nobody serves.
        Assert.Empty(prometheus.Query("heca_pager_no_such_total{instance=~\".*\"}")!);
        Assert.ThrowsAny<Xunit.Sdk.XunitException>(() => AssertLabels("sum by (no_such) (heca_pager_sponsors)", labels));

        heca.StandardInput.WriteLine();
        Assert.Equal("ok", heca.StandardOutput.ReadLine());
        heca.WaitForExit();
    }

    /// <summary>Again for a while: on a host that is busy a scrape fails now and then, and for that moment nothing is there.</summary>
    private static bool Finds(PrometheusServer prometheus, string query)
    {
        for (long end = Environment.TickCount64 + 10_000; prometheus.Query(query) is not { Length: > 0 }; Thread.Sleep(100))
        {
            if (Environment.TickCount64 > end)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>As Grafana sends them: with its variables filled in.</summary>
    private static IEnumerable<string> DashboardQueries()
    {
        using JsonDocument dashboard = JsonDocument.Parse(File.ReadAllText(Path.Combine(Programs.Root, "deploy/grafana/heca.json")));
        foreach (JsonElement target in dashboard.RootElement.GetProperty("panels").EnumerateArray()
            .Where(panel => panel.GetProperty("type").GetString() != "row").SelectMany(panel => panel.GetProperty("targets").EnumerateArray()))
        {
            yield return target.GetProperty("expr").GetString()!
                .Replace("$__rate_interval", "1m", StringComparison.Ordinal).Replace("$pager", ".*", StringComparison.Ordinal).Replace("$sponsor", ".*", StringComparison.Ordinal);
        }

        foreach (JsonElement variable in dashboard.RootElement.GetProperty("templating").GetProperty("list").EnumerateArray().Where(one => one.GetProperty("type").GetString() == "query"))
        {
            yield return Regex.Match(variable.GetProperty("query").GetProperty("query").GetString()!, @"^label_values\((\w+), instance\)$").Groups[1].Value;
        }
    }

    /// <summary>A sum by a label that is not there is no error, and no empty answer either.</summary>
    private static void AssertLabels(string queries, HashSet<string> served) =>
        Assert.All(Grouping().Matches(queries).SelectMany(found => found.Groups["labels"].Value.Split(',', StringSplitOptions.TrimEntries)), label => Assert.Contains(label, served));

    [GeneratedRegex(@"\b(by|without|on|ignoring) ?\((?<labels>[\w, ]+)\)")]
    private static partial Regex Grouping();

    /// <summary>A figure as the daemons have it, not as a rule records it, and as in up{job="heca-pager"} what it is asked for.</summary>
    [GeneratedRegex("(?<![\\w:])(heca_[a-z_]+|up\\{[^}]*\\})(?![\\w:])")]
    private static partial Regex Selector();
}
