using System.Text.Json;
using System.Xml.Linq;
using Hecatonchire.Bench.Advise;
using Hecatonchire.Bench.Report;
using Xunit;
using static Hecatonchire.Tests.Bench.Advise.AdviceSamples;

namespace Hecatonchire.Tests.Bench.Advise;

public sealed class AdviceReportTests
{
    private static readonly DateTimeOffset s_started = new(2025, 1, 2, 3, 4, 0, TimeSpan.Zero);

    private static readonly Advice s_advice = Make(
        Settings, Alone, Point(100, 1, 1.01, 1.02), Point(75, 1.05, 1.1, 1.2), Point(50, 1.5, 2, 1.8), Point(33, [Run(3), Run(30, AdviceOutcome.Stopped, "cut")]));

    [Fact]
    public void The_table_has_a_line_per_budget_with_medians_and_spreads()
    {
        string text = Markdown(s_advice);
        string[] lines =
        [
            "| without heca | 100MiB | 2.00 (1.90 to 2.10) | 1.00 |  |  |  |",
            "| 100MiB | 100 % | 2.02 (2.00 to 2.04) | 1.01 | 1,010 | 2,020 |  |",
            "| 75MiB | 75 % | 2.20 (2.10 to 2.40) | 1.10 | 1,100 | 2,200 | smallest that is enough |",
            "| 50MiB | 50 % | 3.60 (3.00 to 4.00) | 1.80 | 1,800 | 3,600 |  |",
            "| 33MiB | 33 % | 3.00 | > 10 | 0 | 0 | was ended |",
            "**75MiB of local memory (75 % of what it has) is enough for at most 1.10 times the time: it took 1.10.**",
            "`heca run --local 75MiB --sponsor HOST:PORT --prefetch window -- /usr/bin/job --all 'it'\\''s <b>'`",
            "| date | 2025-01-02 03:04 UTC |",
        ];
        Assert.All(lines, line => Assert.Contains(line + "\n", text, StringComparison.Ordinal));
        Assert.DoesNotContain("writes something else", text, StringComparison.Ordinal);
    }

    /// <summary>40 characters are the slowest, of which what is accepted has its share.</summary>
    [Fact]
    public void The_curve_has_a_bar_per_budget_and_a_mark_at_what_is_accepted()
    {
        Advice advice = Make(Settings with { Slowdown = 2 }, Alone, Point(100, 1), Point(50, 2), Point(25, 4));
        Assert.Equal(
            [
                "100 %  100MiB  ##########          |                     1.00",
                " 50 %   50MiB  ####################|                     2.00",
                " 25 %   25MiB  ####################|###################  4.00",
                "times the time without heca; | is 2.00, which is accepted",
            ],
            AdviceTables.Curve(advice));
    }

    [Fact]
    public void Where_nothing_is_enough_it_says_so()
    {
        Advice advice = Make(Settings, Alone, Point(100, 1.2), Point(75, 1.5));
        Assert.Equal("none of these is enough for at most 1.10 times the time: leave it all of its memory, or accept more (--slowdown)", advice.Answer);
        Assert.Null(advice.Command);
        JsonElement json = Json(advice);
        Assert.Equal(JsonValueKind.Null, json.GetProperty("smallest_local_bytes").ValueKind);
        Assert.Equal(JsonValueKind.Null, json.GetProperty("command").ValueKind);
    }

    [Fact]
    public void Outputs_and_statuses_that_differ_are_told_in_a_line()
    {
        Assert.Null(s_advice.Failure);
        Assert.True(s_advice.OutputsAgree);

        Advice differs = Make(Settings, Alone, Point(100, [Run(2), Run(2, output: "bb")]));
        Assert.Equal("job writes something else under heca than without: is there a time in it, or an address?", differs.OutputNote);
        Advice varies = Make(Settings, [Run(2, output: "a"), Run(2, output: "b")], Point(100, [Run(2, output: "c")]));
        Assert.Equal("job writes something else in each run, without heca too: its output was not compared", varies.OutputNote);
        Advice failed = Make(Settings, Alone, Point(100, 1), Point(75, [Run(2), Run(1, AdviceOutcome.Failed, "cut")]));
        Assert.Equal("with 75MiB here job ended with status 135, not 0 (it went wrong)", failed.Failure);
        Assert.True(failed.OutputsAgree);
        Advice warned = Make(Settings, Alone, Point(100, 1), Point(75, [Run(2), Run(2) with { Warning = "The sponsor is full" }]));
        Assert.Equal((null, "heca run warned, with 75MiB here: The sponsor is full"), (s_advice.Warning, warned.Warning));
        Assert.Contains("| 75MiB | 75 % | 2.00 | 1.00 | 0 | 0 | ended with status 135 |", Markdown(failed), StringComparison.Ordinal);
    }

    [Fact]
    public void The_json_has_the_answer_and_every_run()
    {
        JsonElement json = Json(s_advice);
        Assert.Equal("advise", json.GetProperty("benchmark").GetString());
        Assert.Equal(75 * MiB, json.GetProperty("smallest_local_bytes").GetInt64());
        Assert.Equal(75, json.GetProperty("smallest_percent").GetDouble());
        Assert.Equal(1.1, json.GetProperty("smallest_slowdown").GetDouble());
        Assert.Equal(100 * MiB, json.GetProperty("peak_bytes").GetInt64());
        Assert.Equal(2, json.GetProperty("alone").GetProperty("time_s").GetProperty("median").GetDouble());
        Assert.Equal(4, json.GetProperty("alone").GetProperty("runs").GetArrayLength());
        JsonElement[] budgets = [.. json.GetProperty("budgets").EnumerateArray()];
        Assert.Equal([100, 75, 50, 33], budgets.Select(budget => budget.GetProperty("percent").GetDouble()));
        Assert.Equal([true, true, false, false], budgets.Select(budget => budget.GetProperty("is_enough").GetBoolean()));
        Assert.Equal(["done", "stopped"], budgets[3].GetProperty("runs").EnumerateArray().Select(run => run.GetProperty("outcome").GetString()!));
        Assert.Equal(2100, budgets[1].GetProperty("runs")[0].GetProperty("pages_in").GetInt64());
    }

    /// <summary>A mark for each budget that has a slowdown, and one at each end of the line of what is accepted.</summary>
    [Fact]
    public void The_html_has_the_curve_as_a_picture_and_is_well_formed_whatever_the_program_is_called()
    {
        var output = new StringWriter();
        HtmlReport.Write(output, AdviceReport.Of(s_advice, "heca bench advise", s_started, isHtml: true));
        XDocument html = XDocument.Parse(output.ToString()["<!DOCTYPE html>".Length..]);
        XElement picture = Assert.Single(html.Descendants(), element => element.Name.LocalName == "svg");
        Assert.Equal(3 + 2, picture.Descendants().Count(element => element.Attribute("class")?.Value == "mark"));
        Assert.Contains(picture.Descendants(), element => element.Name.LocalName == "title" && element.Value == "75MiB here (75 %): 1.10 times (1.05 to 1.20)");
        Assert.Contains(picture.Descendants(), element => element.Name.LocalName == "text" && element.Value == "local memory, % of 100MiB");
        Assert.DoesNotContain(html.Descendants(), element => element.Name.LocalName == "b");
    }

    private static string Markdown(Advice advice)
    {
        var output = new StringWriter();
        MarkdownReport.Write(output, AdviceReport.Of(advice, "heca bench advise", s_started, isHtml: false));
        return output.ToString();
    }

    private static JsonElement Json(Advice advice)
    {
        var output = new StringWriter();
        AdviceJson.Write(output, advice, s_started);
        return JsonDocument.Parse(output.ToString()).RootElement;
    }
}
