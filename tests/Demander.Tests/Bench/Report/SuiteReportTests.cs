using System.Text.RegularExpressions;
using System.Xml.Linq;
using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Tests.Bench.Suite;
using Xunit;

namespace Hecatonchire.Tests.Bench.Report;

public sealed partial class SuiteReportTests
{
    private static readonly SuiteSettings s_settings = new();

    /// <summary>Three rounds, of which the second is the median: 1, 1.1 and 1.3 times.</summary>
    private static readonly SuiteResults s_results = SuiteSamples.Complete(s_settings, (_, round) => round switch { 1 => 1.1, 2 => 1, _ => 1.3 });

    [Fact]
    public void The_markdown_says_on_what_and_how_it_was_measured()
    {
        string text = Markdown(s_results);
        Assert.StartsWith("# Hecatonchire: measurements\n", text, StringComparison.Ordinal);
        string[] facts =
        [
            "| CPU | Some CPU, 2 CPUs |", "| memory | 8GiB |", "| virtualised | yes (QEMU) |", "| kernel | 6.18.0 |", "| .NET | .NET 10.0.0 |",
            "| heca | 0.1.0+0123456789ab |", "| date | 2025-01-02 03:04 UTC |", "| command | `heca bench suite` |", "1GiB of data, 3 runs", "seed 1",
            "single faults: 1,000 touches", "scan: 1,000 passes", "random walk, 4 threads, 20 % writes: 1,000 accesses",
        ];
        Assert.All(facts, fact => Assert.Contains(fact, text, StringComparison.Ordinal));
        Assert.DoesNotContain("not complete", text, StringComparison.Ordinal);
        Assert.DoesNotContain("did not end well", text, StringComparison.Ordinal);
    }

    [Fact]
    public void Medians_spreads_and_ratios()
    {
        string text = Markdown(s_results);
        string[] facts =
        [
            // The summary; all figures with their spread.
            "| single faults, p50 (µs) | 1.10 | 11.0 | 22.0 | 44.0 |",
            "| single faults, p99 (µs) | 3.30 (3.00 to 3.90) | 22.0 (20.0 to 26.0) | 66.0 (60.0 to 78.0) |",
            "| random walk, 1 thread, reads (accesses/s) | 909,091 | - | 45,455 | 22,727 |",
            "| quicksort at 1:5 (× local) | 1.00 | - | 20.0 | 40.0 |",
            "| quicksort at 1:5 | 1.00 (0.91 to 1.18) | 20.0 (18.2 to 23.6) |",

            // By heca, by the floor: as times, also where rates were measured.
            "| single faults, p50 | 0.05 | 0.50 | 1.00 | 2.00 |",
            "| scan | 0.05 | 0.50 | 1.00 | 2.00 |",
            "| scan | 0.10 | 1.00 | 2.00 | 4.00 |",

            // Processor time: of the host; of heca by side.
            "| scan | 7.00 | 7.00 | 7.00 | 7.00 | 7.00 | 7.00 |",
            "| scan | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 |",
            "| quicksort at 1:4 | 1.00 | 2.00 | 3.00 | 7.00 |",
        ];
        Assert.All(facts, fact => Assert.Contains(fact, text, StringComparison.Ordinal));
    }

    [Fact]
    public void What_did_not_end_well_is_said_where_the_figure_would_be_and_why()
    {
        SuiteRow row = SuiteMatrix.Rows(s_settings).First(r => r.Work == SuiteWork.RandomWalk);
        SuiteCell zram = row.Cell("zram-lz4")!, disk = row.Cell("disk-swap")!;
        SuiteResults results = s_results with
        {
            Runs =
            [
                .. s_results.Runs.Where(run => run.Cell != zram.Id && (run.Cell != disk.Id || run.Round == 1)),
                SuiteSamples.Run(disk, 2, SuiteOutcome.OomKilled, null),
                SuiteSamples.Run(disk, 3, SuiteOutcome.OomKilled, null),
                SuiteSamples.Run(zram, 1, SuiteOutcome.Failed, null),
            ],
        };
        string text = Markdown(results);
        Assert.Contains("| 22,727 [2 of 3 OOM-killed] |", text, StringComparison.Ordinal);
        Assert.Contains("| failed |", text, StringComparison.Ordinal);
        Assert.Contains("## What did not end well", text, StringComparison.Ordinal);
        Assert.Contains($"| {disk.Id} | 2 | OOM-killed | heca: it went wrong | `heca bench {disk.Id}` |", text, StringComparison.Ordinal);
    }

    /// <summary>An unverified run has figures, but they count for nothing.</summary>
    [Fact]
    public void A_run_that_did_not_verify_is_no_measurement()
    {
        SuiteCell cell = SuiteMatrix.Rows(s_settings)[0].Cell("heca")!;
        SuiteRun[] runs = [.. s_results.Runs.Select(run => run.Cell == cell.Id ? run with { Outcome = SuiteOutcome.Unverified } : run)];
        Assert.Contains("| single faults, p50 (µs) | 1.10 | 11.0 | NOT VERIFIED | 44.0 |", Markdown(s_results with { Runs = runs }), StringComparison.Ordinal);
    }

    [Fact]
    public void Of_an_unfinished_suite_there_is_a_report_as_far_as_it_goes()
    {
        string nothing = Markdown(SuiteSamples.Empty(s_settings));
        Assert.Contains("not complete", nothing, StringComparison.Ordinal);
        Assert.Contains("| CPU |", nothing, StringComparison.Ordinal);
        _ = Html(SuiteSamples.Empty(s_settings));

        string part = Markdown(s_results with { Complete = false, Runs = [.. s_results.Runs.Take(3)] });
        Assert.Contains("| single faults, p50 (µs) | 1.10 | 11.0 | 22.0 |", part, StringComparison.Ordinal);
        _ = Html(s_results with { Runs = [.. s_results.Runs.Take(3)] });
    }

    [Fact]
    public void The_part_for_a_readme_is_the_command_and_one_table()
    {
        var output = new StringWriter();
        MarkdownReport.Write(output, SuiteReport.Excerpt(s_results));
        string[] lines = output.ToString().TrimEnd().Split('\n');
        Assert.Equal("`heca bench suite` (CPU Some CPU, 2 CPUs; memory 8GiB; kernel 6.18.0; heca 0.1.0+0123456789ab; 2025-01-02 03:04 UTC):", lines[0]);
        Assert.Single(lines, line => line.StartsWith("|---", StringComparison.Ordinal));
        Assert.All(lines[4..], line => Assert.StartsWith("|", line, StringComparison.Ordinal));
        Assert.Equal(14, lines.Length - 6);
    }

    [Fact]
    public void Tables_are_as_wide_in_every_row()
    {
        foreach (string[] table in Tables(Markdown(s_results)))
        {
            Assert.Single(table.Select(line => line.Count(c => c == '|')).Distinct());
            Assert.True(table.Length > 2, table[0]);
        }
    }

    /// <summary>What is drawn is also written beside it.</summary>
    [Fact]
    public void Every_plot_has_a_mark_per_median_and_a_table_beside_it()
    {
        ReportDocument document = SuiteReport.Of(s_results);
        ReportSection[] drawn = [.. document.Sections.Where(section => section.Plots.Count > 0)];
        Assert.Equal(["Single faults", "Slowdown against memory", "Throughput against window", "Scaling with threads"], drawn.Select(s => s.Heading));
        Assert.All(drawn, section => Assert.NotEmpty(section.Tables.SelectMany(table => table.Rows)));

        // Floor 3 percentiles and six systems 3 each; 6 systems at 5 ratios; 5 windows and 3 policies; heca 4 numbers of threads and five systems 2.
        int[] marks = [.. drawn.Select(section => section.Plots.Single().Series.Sum(series => series.Points.Count))];
        Assert.Equal([3 + (6 * 3), 6 * 5, 5 + 3, 4 + (5 * 2)], marks);

        XDocument html = Html(s_results);
        XElement[] pictures = [.. html.Descendants().Where(e => e.Name.LocalName == "svg")];
        Assert.Equal(marks, pictures.Select(picture => picture.Descendants().Count(e => e.Attribute("class")?.Value == "mark")));
        Assert.Equal([0, 6 * 5, 5 + 3, 4 + (5 * 2)], pictures.Select(picture => picture.Descendants().Count(e => e.Attribute("class")?.Value == "bar")));
        Assert.Equal([7, 0, 0, 0], pictures.Select(picture => picture.Descendants().Count(e => e.Attribute("class")?.Value == "band")));
    }

    [Fact]
    public void The_html_is_one_file_for_light_and_dark()
    {
        XDocument html = Html(s_results);
        string text = html.ToString();
        Assert.DoesNotMatch(External(), text);
        Assert.Contains("prefers-color-scheme: dark", text, StringComparison.Ordinal);
        Assert.DoesNotContain(html.Descendants(), e => e.Name.LocalName is "script" or "link" or "img" or "iframe" or "image" or "use");
        Assert.DoesNotContain(html.Descendants().Attributes(), a => a.Name.LocalName is "src" or "href");
        foreach (string system in SuiteSystems.All)
        {
            Assert.Equal(2, Regex.Count(html.Descendants("style").Single().Value, $@"^\.s-{system} \{{ --c: #[0-9a-f]{{6}}; \}}$", RegexOptions.Multiline));
        }
    }

    [Fact]
    public void What_people_and_programs_wrote_does_not_become_html()
    {
        SuiteCell cell = SuiteMatrix.Rows(s_settings)[0].Cell("heca")!;
        SuiteRun hostile = SuiteSamples.Run(cell, 1, SuiteOutcome.Failed, null) with { Message = "<script>alert('|')</script> & \"more\"" };
        XDocument html = Html(s_results with { Runs = [hostile], Command = "heca </code><img src=x>" });
        Assert.DoesNotContain(html.Descendants(), e => e.Name.LocalName is "script" or "img");
        Assert.Contains("<script>alert('\\|')</script>", Markdown(s_results with { Runs = [hostile] }), StringComparison.Ordinal);
    }

    private static IEnumerable<string[]> Tables(string markdown) =>
        markdown.Split("\n\n").Where(part => part.StartsWith('|')).Select(part => part.TrimEnd('\n').Split('\n'));

    private static string Markdown(SuiteResults results)
    {
        var output = new StringWriter();
        MarkdownReport.Write(output, SuiteReport.Of(results));
        return output.ToString();
    }

    /// <summary>Well-formed as XML too, which is more than HTML asks for.</summary>
    private static XDocument Html(SuiteResults results)
    {
        var output = new StringWriter();
        HtmlReport.Write(output, SuiteReport.Of(results));
        const string type = "<!DOCTYPE html>";
        Assert.StartsWith(type, output.ToString(), StringComparison.Ordinal);
        return XDocument.Parse(output.ToString()[type.Length..]);
    }

    [GeneratedRegex(@"url\(|@import|(?<!xmlns="")https?://", RegexOptions.IgnoreCase)]
    private static partial Regex External();
}
