using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.RegularExpressions;
using Hecatonchire.Configuration;

namespace Hecatonchire.Cli;

/// <summary>
/// <c>--config FILE</c>: options of its command from a file, where the command line does not give them. The lines become options in front of those of the command line, so that names,
/// values and rules are the same.
/// </summary>
internal sealed partial class ConfigurationOption() : Option<string?>("--config")
{
    public static ConfigurationOption Create() => new()
    {
        HelpName = "FILE",
        Description = "A file with options, a line `name = value` each; the command line wins",
    };

    /// <summary>The options of a command that a file may have.</summary>
    public static IEnumerable<Option> Of(Command command) => command.Options.Where(option => option is not (ConfigurationOption or HelpOption or VersionOption) && !option.Hidden);

    /// <summary>May be repeated.</summary>
    public static bool IsList(Option option) => option.Arity.MaximumNumberOfValues > 1;

    /// <summary>Runs a command with what is in the file as well. Throws <see cref="CommandException"/>, which names file and line where an option of the file is at fault.</summary>
    public Func<ParseResult, int> Under(Func<ParseResult, int> run) => parsed => parsed.GetValue(this) is { } path ? RunWith(path, parsed) : run(parsed);

    private int RunWith(string path, ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        OptionResult[] given = [.. parsed.CommandResult.Children.OfType<OptionResult>().Where(result => !result.Implicit && result.Option != this)];
        ConfigurationLine[] lines = [.. Read(path, command).Where(line => !given.Any(result => result.Option.Name == OptionOf(line)))];
        ParseResult all = parsed.RootCommandResult.Command.Parse(
            [command.Name, .. lines.Select(line => $"{OptionOf(line)}={line.Value}"), .. given.SelectMany(Written)], new ParserConfiguration { ResponseFileTokenReplacer = null });
        try
        {
            return all.Errors.Count > 0
                ? throw new CommandException(all.Errors[0].Message.TrimEnd('.'), ExitStatus.Usage)
                : all.Invoke(parsed.InvocationConfiguration);
        }
        catch (CommandException e) when (e.Status == ExitStatus.Usage)
        {
            throw new CommandException(Located(e.Message, path, lines), ExitStatus.Usage);
        }
    }

    private static IReadOnlyList<ConfigurationLine> Read(string path, Command command)
    {
        try
        {
            IReadOnlyList<ConfigurationLine> lines = ConfigurationFile.Read(path, [.. Of(command).Select(option => new ConfigurationName(option.Name[2..], IsList(option)))]);
            foreach (ConfigurationLine line in lines.Where(line => !bool.TryParse(line.Value, out _) && Of(command).Any(option => option is Option<bool> && option.Name == OptionOf(line))))
            {
                throw new ConfigurationException($"{path}:{line.Line}: '{line.Name}' must be true or false, and is '{line.Value}'");
            }

            return lines;
        }
        catch (ConfigurationException e)
        {
            throw new CommandException(e.Message, ExitStatus.Usage);
        }
    }

    private static string OptionOf(ConfigurationLine line) => $"--{line.Name}";

    private static IEnumerable<string> Written(OptionResult result) =>
        result.Tokens.Count == 0 ? [result.Option.Name] : result.Tokens.Select(token => $"{result.Option.Name}={token.Value}");

    /// <summary>A message that names options, with the lines that those of the file are on.</summary>
    private static string Located(string message, string path, ConfigurationLine[] lines)
    {
        (string Option, string Lines)[] named = [.. OptionNames().Matches(message).Select(match => match.Value).Distinct()
            .Select(option => (option, string.Join(',', lines.Where(line => OptionOf(line) == option).Select(line => line.Line.ToString(CultureInfo.InvariantCulture)))))
            .Where(option => option.Item2.Length > 0)];
        return named.Length == 0
            ? $"{message}; {path} was read too"
            : $"{path}:{named[0].Lines}: {message}{string.Concat(named[1..].Select(other => $"; {other.Option} is on line {other.Lines}"))}";
    }

    [GeneratedRegex("--[a-z][a-z-]*")]
    private static partial Regex OptionNames();
}
