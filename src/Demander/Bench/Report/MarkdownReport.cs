namespace Hecatonchire.Bench.Report;

/// <summary>A report in GitHub's Markdown; its plots are in the HTML.</summary>
internal static class MarkdownReport
{
    public static void Write(TextWriter output, ReportDocument document)
    {
        if (document.Title.Length > 0)
        {
            output.WriteLine($"# {document.Title}");
            output.WriteLine();
        }

        foreach (ReportSection section in document.Sections)
        {
            Write(output, section);
        }
    }

    private static void Write(TextWriter output, ReportSection section)
    {
        if (section.Heading.Length > 0)
        {
            output.WriteLine($"## {section.Heading}");
            output.WriteLine();
        }

        foreach (string paragraph in section.Paragraphs)
        {
            output.WriteLine(paragraph);
            output.WriteLine();
        }

        foreach (ReportTable table in section.Tables)
        {
            Write(output, table);
        }
    }

    private static void Write(TextWriter output, ReportTable table)
    {
        if (table.Caption.Length > 0)
        {
            output.WriteLine($"{table.Caption}:");
            output.WriteLine();
        }

        WriteRow(output, table.Columns);
        output.WriteLine($"|---{string.Concat(Enumerable.Repeat(table.AreFigures ? "|--:" : "|---", table.Columns.Count - 1))}|");
        foreach (IReadOnlyList<string> row in table.Rows)
        {
            WriteRow(output, row);
        }

        output.WriteLine();
    }

    private static void WriteRow(TextWriter output, IEnumerable<string> cells) =>
        output.WriteLine($"| {string.Join(" | ", cells.Select(c => c.Replace("|", "\\|", StringComparison.Ordinal)))} |");
}
