using System.Text.RegularExpressions;

namespace Hecatonchire.Manual;

/// <summary>heca.h(3), from the header's comments and declarations.</summary>
internal static partial class HeaderPage
{
    /// <param name="header">native/include/heca.h.</param>
    /// <param name="version">Of the build.</param>
    public static string Write(string header, string version)
    {
        string[] paragraphs = [.. Comment(header[..header.IndexOf("#ifndef", StringComparison.Ordinal)]).Split("\n\n")];
        string[] title = paragraphs[0].Split(": ", 2);
        var page = new Roff(title[0], 3, "Hecatonchire", $"heca {version}");
        _ = page.Section("NAME").Text($"{title[0]} - {title[1].TrimEnd('.')}");
        _ = page.Section("SYNOPSIS").Literal(["#include <heca.h>", "", .. Declarations(header).SelectMany(declaration => declaration.Code.Where(line => line.EndsWith(");", StringComparison.Ordinal))), "", "cc program.c -lheca"]);
        _ = page.Section("DESCRIPTION");
        foreach (string paragraph in paragraphs[1..].Where(paragraph => !IsErrors(paragraph)))
        {
            _ = page.Text(paragraph);
        }

        foreach ((string comment, string[] code) in Declarations(header))
        {
            _ = page.Subsection(Name().Match(string.Join(' ', code)).Value).Literal(code);
            _ = comment.Length > 0 ? page.Text(comment) : page;
        }

        _ = page.Section("ERRORS");
        foreach (Match error in Error().Matches(paragraphs.Single(IsErrors)))
        {
            _ = page.Item(error.Groups[1].Value, error.Groups[2].Value);
        }

        return page.Section("SEE ALSO").Text("heca(1), heca-sponsor(8)").ToString();
    }

    private static bool IsErrors(string paragraph) => paragraph.StartsWith("  -E", StringComparison.Ordinal);

    /// <summary>A comment and what follows it, up to an empty line.</summary>
    private static IEnumerable<(string Comment, string[] Code)> Declarations(string header)
    {
        string body = header[header.IndexOf("/* The version", StringComparison.Ordinal)..header.LastIndexOf("#ifdef __cplusplus", StringComparison.Ordinal)];
        foreach (string block in body.Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            int end = block.StartsWith("/*", StringComparison.Ordinal) ? block.IndexOf("*/", StringComparison.Ordinal) + 2 : 0;
            yield return (Comment(block[..end]), [.. block[end..].Trim('\n').Split('\n').Select(line => line.Replace("HECA_API ", "", StringComparison.Ordinal).TrimEnd())]);
        }
    }

    private static string Comment(string text) => CommentMarks().Replace(text, "").Trim();

    [GeneratedRegex(@"^ ?/?\*+/? ?|\s*\*/\s*$", RegexOptions.Multiline)]
    private static partial Regex CommentMarks();

    [GeneratedRegex(@"heca_\w+")]
    private static partial Regex Name();

    [GeneratedRegex(@"^  (-E\w+) +(.*)$", RegexOptions.Multiline)]
    private static partial Regex Error();
}
