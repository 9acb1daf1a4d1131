using System.Xml.Linq;
using Hecatonchire.Bench.Report.Plots;

namespace Hecatonchire.Bench.Report;

/// <summary>A report as one HTML file that needs nothing else: style and pictures are in it, on light paper or dark as the reader has it.</summary>
internal static class HtmlReport
{
    private const string Style = """
        :root { color-scheme: light dark; --paper: #ffffff; --ink: #1b1b1b; --faint: #5c5c5c; --rule: #dcdcdc; --stripe: #f5f6f7; }
        body { margin: 2rem auto; padding: 0 1rem; max-width: 76rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
        h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem; }
        p { max-width: 50rem; margin: .4rem 0; }
        code { font-size: .92em; overflow-wrap: anywhere; }
        .wide { overflow-x: auto; margin: .8rem 0; }
        table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
        caption { text-align: left; color: var(--faint); padding-bottom: .3rem; }
        th, td { text-align: left; padding: .25rem .55rem; border-bottom: 1px solid var(--rule); vertical-align: top; }
        th { font-weight: 600; white-space: nowrap; } tbody th { font-weight: 400; } tbody tr:nth-child(even) { background: var(--stripe); }
        .figures th + th, .figures td { text-align: right; }
        .figures td small { display: block; color: var(--faint); white-space: nowrap; }
        svg { display: block; width: 100%; max-width: 54rem; height: auto; font: 12px system-ui, "DejaVu Sans", sans-serif; }
        .grid { stroke: var(--rule); } .axis { stroke: var(--faint); }
        .tick, .title { fill: var(--faint); } .label { fill: var(--ink); }
        .line { fill: none; stroke: var(--c); stroke-width: 1.8; stroke-linejoin: round; } .s-heca .line { stroke-width: 2.8; }
        .mark, .key { fill: var(--c); stroke: var(--paper); stroke-width: .8; }
        .bar { fill: none; stroke: var(--c); stroke-width: 1.3; } .band { fill: var(--c); opacity: .16; }
        .lead { stroke: var(--c); stroke-dasharray: 1 3; }
        """;

    public static void Write(TextWriter output, ReportDocument document)
    {
        var head = new XElement(
            "head",
            new XElement("meta", new XAttribute("charset", "utf-8")),
            new XElement("meta", new XAttribute("name", "viewport"), new XAttribute("content", "width=device-width, initial-scale=1")),
            new XElement("title", document.Title),
            new XElement("style", $"\n{Style}\n{PlotStyle.Css(dark: false)}\n@media (prefers-color-scheme: dark) {{\n"
                + ":root { --paper: #14171a; --ink: #e8e8e8; --faint: #a3a8ad; --rule: #343a40; --stripe: #1b1f23; }\n"
                + $"{PlotStyle.Css(dark: true)}\n}}\n"));
        var body = new XElement("body", new XElement("h1", document.Title), document.Sections.Select(Section));
        output.WriteLine("<!DOCTYPE html>");
        output.WriteLine(new XElement("html", new XAttribute("lang", "en"), head, body).ToString(SaveOptions.DisableFormatting));
    }

    private static IEnumerable<XElement> Section(ReportSection section) =>
    [
        .. section.Heading.Length > 0 ? [new XElement("h2", section.Heading)] : Array.Empty<XElement>(),
        .. section.Paragraphs.Select(text => new XElement("p", Inline(text))),
        .. section.Plots.Select(plot => new XElement("figure", new XAttribute("style", "margin: .8rem 0"), PlotDrawing.Draw(plot))),
        .. section.Tables.Select(Table),
    ];

    private static XElement Table(ReportTable table) => new(
        "div",
        new XAttribute("class", "wide"),
        new XElement(
            "table",
            table.AreFigures ? new XAttribute("class", "figures") : null,
            table.Caption.Length > 0 ? new XElement("caption", table.Caption) : null,
            table.Columns.Any(c => c.Length > 0) ? new XElement("thead", new XElement("tr", table.Columns.Select(c => new XElement("th", c)))) : null,
            new XElement("tbody", table.Rows.Select(row => new XElement(
                "tr", new XElement("th", Inline(row[0])), row.Skip(1).Select(cell => new XElement("td", Cell(cell))))))));

    /// <summary>A figure's spread and failures, which are in brackets behind it, go below it: columns stay narrow.</summary>
    private static IEnumerable<object> Cell(string text)
    {
        string[] parts = char.IsAsciiDigit(text.FirstOrDefault()) ? text.Split([" (", " ["], StringSplitOptions.None) : [text];
        return [.. Inline(parts[0]), .. parts.Skip(1).Select(part => new XElement("small", part.TrimEnd(')', ']')))];
    }

    /// <summary>What is between backquotes as code, between double asterisks as strong: all that a report uses of Markdown.</summary>
    private static IEnumerable<object> Inline(string text)
    {
        string[] parts = text.Split('`');
        for (int i = 0; i < parts.Length; i++)
        {
            if (i % 2 == 1)
            {
                yield return new XElement("code", parts[i]);
                continue;
            }

            string[] strong = parts[i].Split("**");
            for (int j = 0; j < strong.Length; j++)
            {
                yield return j % 2 == 1 ? new XElement("strong", strong[j]) : strong[j];
            }
        }
    }
}
