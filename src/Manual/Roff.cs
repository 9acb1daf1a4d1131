using System.Text;

namespace Hecatonchire.Manual;

/// <summary>Text of a manual page, in the man macros that man-db and mandoc know.</summary>
internal sealed class Roff
{
    /// <summary>Of the pages, which have to have one; not of the build, for they would differ from day to day.</summary>
    private const string Date = "2026-11-26";

    private readonly StringBuilder _text = new();
    private bool _isAtHeading;

    public Roff(string name, int section, string about, string version) =>
        _text.Append($".\\\" Made by `make man`: change the help text, or what it is made from, and not this.\n.TH {name.ToUpperInvariant()} {section} \"{Date}\" \"{version}\" \"{about}\"\n.nh\n.ad l\n");

    public override string ToString() => _text.ToString();

    public Roff Section(string title) => Line($".SH {title}");

    public Roff Subsection(string title) => Line($".SS \"{Escape(title).Replace("\"", "\\(dq", StringComparison.Ordinal)}\"");

    /// <summary>Something and what is said of it.</summary>
    public Roff Item(string term, string text)
    {
        _ = Line(".TP").Line($"\\fB{Escape(term)}\\fR");
        return Paragraphs(text, ".IP");
    }

    /// <summary>An option, its argument, and what is said of it.</summary>
    public Roff Option(string names, string? argument, string text)
    {
        _ = Line(".TP").Line($"\\fB{Escape(names)}\\fR{(argument is null ? "" : $" \\fI{Escape(argument)}\\fR")}");
        return Paragraphs(text, ".IP");
    }

    public Roff Text(string text) => Paragraphs(text, ".PP");

    public Roff Literal(IEnumerable<string> lines)
    {
        _ = Line(".PP").Line(".RS 4").Line(".nf");
        foreach (string line in lines)
        {
            _ = Line(Protected(Escape(line)));
        }

        return Line(".fi").Line(".RE");
    }

    /// <summary>Paragraphs are apart by empty lines; lines that begin with two blanks are shown as they are.</summary>
    private Roff Paragraphs(string text, string between)
    {
        bool isFirst = true;
        foreach (string paragraph in text.Trim('\n').Split("\n\n", StringSplitOptions.RemoveEmptyEntries))
        {
            string[] lines = paragraph.Split('\n'), flowing = [.. lines.TakeWhile(line => !line.StartsWith("  ", StringComparison.Ordinal))], literal = lines[flowing.Length..];
            if (flowing.Length > 0)
            {
                _ = isFirst && between == ".IP" ? this : Line(between);
                foreach (string line in flowing)
                {
                    _ = Line(Protected(Bold(Escape(line.Trim()))));
                }
            }

            _ = literal.Length > 0 ? Literal(literal.Select(line => line.StartsWith("  ", StringComparison.Ordinal) ? line[2..] : line)) : this;
            isFirst = false;
        }

        return this;
    }

    private Roff Line(string line)
    {
        // A heading begins a paragraph by itself.
        bool isHeading = line.StartsWith(".S", StringComparison.Ordinal);
        if (_isAtHeading && line == ".PP")
        {
            return this;
        }

        _isAtHeading = isHeading;
        _ = _text.Append(line).Append('\n');
        return this;
    }

    /// <summary>What is between backquotes is bold.</summary>
    private static string Bold(string text)
    {
        string[] parts = text.Split('`');
        return parts.Length % 2 == 0 ? text : string.Concat(parts.Select((part, i) => i % 2 == 0 ? part : $"\\fB{part}\\fR"));
    }

    private static string Escape(string text) => text.Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal)
        .Replace("~", "\\(ti", StringComparison.Ordinal).Replace("^", "\\(ha", StringComparison.Ordinal).Replace("'", "\\(aq", StringComparison.Ordinal);

    /// <summary>A line that would be taken for a request.</summary>
    private static string Protected(string line) => line.StartsWith('.') ? $"\\&{line}" : line;
}
