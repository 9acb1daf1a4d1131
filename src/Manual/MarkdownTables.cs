using System.Text.RegularExpressions;

namespace Hecatonchire.Manual;

/// <summary>The tables of a document, by the heading that they follow.</summary>
internal sealed partial class MarkdownTables(string text)
{
    /// <summary>The rows of the first table below a heading, without its head; code and links as plain text. Throws where there is none.</summary>
    public IEnumerable<string[]> Rows(string heading)
    {
        string[] rows = [.. text.Split('\n').SkipWhile(line => line != $"## {heading}").Skip(1).TakeWhile(line => !line.StartsWith('#'))
            .SkipWhile(line => !line.StartsWith('|')).TakeWhile(line => line.StartsWith('|'))];
        return rows.Length > 2
            ? rows.Skip(2).Select(row => row.Trim().Trim('|').Split(" | ").Select(cell => Plain(cell.Trim().Trim('|').Trim())).ToArray())
            : throw new InvalidDataException($"docs/operations.md has no table under '{heading}'");
    }

    private static string Plain(string cell) => Link().Replace(cell, "$1").Replace("`", "", StringComparison.Ordinal);

    [GeneratedRegex(@"\[([^\]]*)\]\([^)]*\)")]
    private static partial Regex Link();
}
