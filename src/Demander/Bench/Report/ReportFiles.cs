using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Report;

/// <summary>The report in the directory of its results.</summary>
internal static class ReportFiles
{
    public const string Markdown = "report.md";
    public const string Html = "report.html";

    /// <summary>Writes both, over earlier ones.</summary>
    public static void Write(string directory, SuiteResults results)
    {
        ReportDocument document = SuiteReport.Of(results);
        using (StreamWriter markdown = File.CreateText(Path.Combine(directory, Markdown)))
        {
            MarkdownReport.Write(markdown, document);
        }

        using StreamWriter html = File.CreateText(Path.Combine(directory, Html));
        HtmlReport.Write(html, document);
    }
}
