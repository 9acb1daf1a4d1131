using Hecatonchire.Cli;
using Spectre.Console;

namespace Hecatonchire.Bench.Report;

/// <summary>A table of a report for the terminal.</summary>
internal static class TextReport
{
    /// <summary>Where there is no terminal, lines need not be broken.</summary>
    private const int WidthOfFiles = 200;

    public static void Write(TextWriter output, ReportTable table)
    {
        var drawn = new Table { Border = TableBorder.Rounded };
        for (int i = 0; i < table.Columns.Count; i++)
        {
            var column = new TableColumn(Markup.Escape(table.Columns[i]));
            drawn.AddColumn(i == 0 || !table.AreFigures ? column : column.RightAligned());
        }

        foreach (IReadOnlyList<string> row in table.Rows)
        {
            drawn.AddRow(row.Select(cell => new Text(cell)));
        }

        IAnsiConsole console = TextConsole.Create(output);
        if (Console.IsOutputRedirected)
        {
            console.Profile.Width = WidthOfFiles;
        }

        console.Write(drawn);
    }
}
