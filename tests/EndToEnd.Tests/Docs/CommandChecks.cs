using System.CommandLine;
using System.Text.RegularExpressions;
using Hecatonchire.Cli;
using Hecatonchire.Sponsor.Cli;
using Hecatonchire.Tests.Deploy;
using Hecatonchire.Tests.Harness;

namespace Hecatonchire.Tests.Docs;

/// <summary>What can be said of a command without running it. Each returns what is wrong with it in one line, or null.</summary>
internal static partial class CommandChecks
{
    private static readonly RootCommand s_heca = Composition.CreateCommandLine();
    private static readonly RootCommand s_sponsor = SponsorCommand.Create();
    private static readonly Dictionary<string, string?> s_made = [];

    /// <summary>Options of either program, with those of all commands.</summary>
    public static IReadOnlySet<string> Options { get; } = new HashSet<string>(Commands(s_heca).Concat(Commands(s_sponsor)).SelectMany(OptionsOf));

    /// <summary>As <see cref="Parse"/>; null also for other programs.</summary>
    public static string? ParseIfOwn(string command) => ProgramOf(Words(command)[0]) is null ? null : Parse(command);

    /// <summary>A whole command line, up to the next command on it, by the parser of the program itself.</summary>
    public static string? Parse(string command)
    {
        string[] words = [.. Words(command).TakeWhile(word => word != "&&")];
        RootCommand? program = ProgramOf(words[0]);
        if (program is null)
        {
            return $"'{words[0]}' is neither heca nor heca-sponsor";
        }

        ParseResult parsed = program.Parse(words[1..], new ParserConfiguration { ResponseFileTokenReplacer = null });

        // What stands before -- and is no option of `heca run` is told by that when it runs.
        return parsed.Errors.Count > 0 ? parsed.Errors[0].Message : Mention(string.Join(' ', words));
    }

    /// <summary>
    /// Words within a sentence, some of them placeholders: as far as they name commands there have to be these, and their options have to be options of theirs, or of a
    /// command below. Null also for what begins with another program.
    /// </summary>
    public static string? Mention(string span)
    {
        string[] words = span.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0 || ProgramOf(words[0]) is not { } root)
        {
            return null;
        }

        Command at = root;
        int next = 1;
        for (; next < words.Length && at.Subcommands.Count > 0 && char.IsAsciiLetterLower(words[next][0]); next++)
        {
            string[] names = words[next].Split('|');
            if (Array.Find(names, name => at.Subcommands.All(command => command.Name != name)) is { } unknown)
            {
                return $"'{unknown}' is no command of {NameOf(at)}";
            }

            at = at.Subcommands.Single(command => command.Name == names[0]);
            if (names.Length > 1)
            {
                break;
            }
        }

        HashSet<string> options = [.. Commands(at).SelectMany(OptionsOf)];
        return words[next..].TakeWhile(word => word != "--").Where(word => word.StartsWith("--", StringComparison.Ordinal)).Select(word => OptionName().Match(word).Value)
            .FirstOrDefault(option => !options.Contains(option)) is { } missing ? $"'{missing}' is no option of {NameOf(at)}" : null;

        string NameOf(Command command) => command is RootCommand ? words[0] : command.Name;
    }

    /// <summary>Options that are named in a span, whatever else is there.</summary>
    public static IEnumerable<string> OptionsIn(string span) => OptionInSpan().Matches(span).Select(match => match.Groups[1].Value);

    /// <summary>Whether make knows what to do, and what of it is heca's parses.</summary>
    public static string? Make(string command)
    {
        if (!s_made.TryGetValue(command, out string? problem))
        {
            (int status, string output) = Tool.Run("/bin/bash", "-c", Regex.Replace(command, "^make", "make -n"));
            problem = status != 0 ? $"make: {output.Trim().ReplaceLineEndings(" ")}"
                : output.Split('\n').Where(line => line.StartsWith("bin/heca", StringComparison.Ordinal)).Select(Parse).FirstOrDefault(wrong => wrong is not null);
            s_made.Add(command, problem);
        }

        return problem;
    }

    /// <summary>A file of this tree that is there, and where it is a script can be read as one.</summary>
    public static string? File(string path)
    {
        string full = Path.Combine(Programs.Root, path);
        if (Directory.Exists(full) || !System.IO.File.Exists(full))
        {
            return Directory.Exists(full) ? null : $"there is no {path}";
        }

        if (System.IO.File.ReadLines(full).FirstOrDefault()?.EndsWith("bash", StringComparison.Ordinal) != true)
        {
            return null;
        }

        (int status, string output) = Tool.Run("/bin/bash", "-n", full);
        return status == 0 ? null : output.Trim();
    }

    /// <summary>As a shell has them, as far as documents go: single quotes.</summary>
    public static string[] Words(string command) => [.. Word().Matches(command).Select(match => match.Value.Replace("'", "", StringComparison.Ordinal))];

    private static RootCommand? ProgramOf(string word) => word switch
    {
        "heca" or "bin/heca" => s_heca,
        "heca-sponsor" or "bin/heca-sponsor" => s_sponsor,
        _ => null,
    };

    private static IEnumerable<Command> Commands(Command command) => command.Subcommands.SelectMany(Commands).Prepend(command);

    private static IEnumerable<string> OptionsOf(Command command) => command.Options.SelectMany(option => option.Aliases.Append(option.Name)).Concat(["--help", "--version"]);

    [GeneratedRegex("(?:'[^']*'|[^ '])+")]
    private static partial Regex Word();

    [GeneratedRegex("^--[a-z][a-z0-9-]*")]
    private static partial Regex OptionName();

    [GeneratedRegex("(?:^|[ '(])(--[a-z][a-z0-9-]*)")]
    private static partial Regex OptionInSpan();
}
