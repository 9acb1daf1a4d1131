using System.Text.RegularExpressions;
using Hecatonchire.Cli;
using Hecatonchire.Manual;
using Hecatonchire.Sponsor.Cli;
using Hecatonchire.Tests.Harness;

namespace Hecatonchire.Tests.Docs;

/// <summary>Something that a reader is shown, and where: a command, or a span of code within a sentence.</summary>
internal sealed record Shown(string File, int Line, string Text)
{
    public string Place => $"{File}:{Line}";
}

/// <summary>A block of code of a document: indented by four, or fenced with the language that it says.</summary>
internal sealed record ShownBlock(string File, int Line, string Language, IReadOnlyList<string> Lines);

/// <summary>
/// What README, docs and help texts show to be typed. A command in a block stands on a line of its own, after the prompt of the host it is typed on, and ahead of two blanks or
/// more and a word about it.
/// </summary>
internal static partial class ShownCommands
{
    /// <summary>Where commands are looked for; records of decisions are of their day.</summary>
    public static IReadOnlyList<string> Documents { get; } =
        ["README.md", .. Directory.GetFiles(Path.Combine(Programs.Root, "docs"), "*.md").Select(path => $"docs/{Path.GetFileName(path)}").Order(StringComparer.Ordinal)];

    public static IEnumerable<ShownBlock> Blocks(string file, IReadOnlyList<string> lines)
    {
        for (int i = 0; i < lines.Count; i++)
        {
            bool isFence = lines[i].StartsWith("```", StringComparison.Ordinal), isIndented = IsIndented(lines[i]) && (i == 0 || lines[i - 1].Length == 0);
            if (!isFence && !isIndented)
            {
                continue;
            }

            int first = isFence ? i + 1 : i, end = first;
            while (end < lines.Count && (isFence ? !lines[end].StartsWith("```", StringComparison.Ordinal) : IsIndented(lines[end])))
            {
                end++;
            }

            yield return new ShownBlock(file, first + 1, isFence ? lines[i][3..].Trim() : "", [.. lines.Take(end).Skip(first).Select(line => isFence ? line : line[4..])]);
            i = isFence ? end : end - 1;
        }
    }

    /// <summary>The commands of a block; lines that are empty or a comment are none.</summary>
    public static IEnumerable<Shown> Of(ShownBlock block) => block.Lines.Select((line, i) => new Shown(block.File, block.Line + i, Command(line))).Where(shown => shown.Text.Length > 0);

    /// <summary>Code within sentences, tables and comments: all between two backticks.</summary>
    public static IEnumerable<Shown> Spans(string file, IReadOnlyList<string> lines) =>
        lines.SelectMany((line, i) => CodeSpan().Matches(line).Select(match => new Shown(file, i + 1, match.Groups[1].Value.Replace("\\|", "|", StringComparison.Ordinal))));

    /// <summary>The examples that `--help` ends with.</summary>
    public static IEnumerable<Shown> Examples()
    {
        foreach (CommandHelp command in CommandHelp.Of("heca", Composition.CreateCommandLine()).All.Append(CommandHelp.Of("heca-sponsor", SponsorCommand.Create())))
        {
            string[] lines = $"{command.Description}\n{command.Details}".Split('\n');
            bool isExample = false;
            for (int i = 0; i < lines.Length; i++)
            {
                isExample = lines[i] == "Examples:" || (isExample && lines[i].StartsWith("  ", StringComparison.Ordinal));
                if (isExample && lines[i] != "Examples:")
                {
                    yield return new Shown($"{command.Path} --help", i + 1, Command(lines[i].Trim()));
                }
            }
        }
    }

    private static bool IsIndented(string line) => line.StartsWith("    ", StringComparison.Ordinal) && line.Trim().Length > 0;

    private static string Command(string line)
    {
        string typed = Prompt().Replace(line.Trim(), "");
        int end = typed.IndexOf("  ", StringComparison.Ordinal);
        typed = (end < 0 ? typed : typed[..end]).Trim();
        return typed.StartsWith('#') ? "" : typed;
    }

    [GeneratedRegex(@"^((sponsor|demander)[$#]|\$) +")]
    private static partial Regex Prompt();

    [GeneratedRegex("`([^`]+)`")]
    private static partial Regex CodeSpan();
}
