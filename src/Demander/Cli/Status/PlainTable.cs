namespace Hecatonchire.Cli.Status;

/// <summary>Lines of cells as text.</summary>
internal static class PlainTable
{
    /// <summary>The first column is to the left, and so are those in <paramref name="left"/>; the others are to the right. A line with fewer cells than columns ends with a text of any length.</summary>
    public static void Write(TextWriter output, string[] columns, IEnumerable<string[]> rows, params ReadOnlySpan<int> left)
    {
        string[][] lines = [columns, .. rows];
        int[] widths = [.. columns.Select((_, column) => lines.Where(line => line.Length == columns.Length).Max(line => line[column].Length))];
        widths[0] = lines.Max(line => line[0].Length);
        foreach (string[] line in lines)
        {
            string text = "";
            for (int i = 0; i < line.Length; i++)
            {
                bool isText = i == 0 || left.Contains(i) || line.Length < columns.Length;
                text += (i == 0 ? "" : "  ") + (isText ? line[i].PadRight(widths[i]) : line[i].PadLeft(widths[i]));
            }

            output.WriteLine(text.TrimEnd());
        }
    }
}
