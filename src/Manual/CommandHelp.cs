using System.CommandLine;
using System.CommandLine.Help;
using System.Text.RegularExpressions;
using Hecatonchire.Cli;

namespace Hecatonchire.Manual;

/// <summary>An option as `--help` has it. <paramref name="Default"/> is null where it has none; of a switch it is false, and unsaid.</summary>
internal sealed record OptionHelp(string Name, string? Argument, string? Default, string Description, bool IsSwitch, bool IsList, IReadOnlyList<string> Aliases)
{
    /// <summary>The values it takes, where they are few and named.</summary>
    public IReadOnlyList<string> Values => Argument is not null && Argument.Contains('|', StringComparison.Ordinal) && Argument.All(letter => char.IsAsciiLetterLower(letter) || char.IsAsciiDigit(letter) || letter is '|' or '-')
        ? Argument.Split('|')
        : [];

    /// <summary>Whether a file or a directory is what it takes, or may take.</summary>
    public bool TakesPath => Argument is "FILE" or "DIR" or "PATH" or "KEY|FILE";
}

/// <summary>A command as `--help` has it, read from what parses the command line.</summary>
internal sealed partial record CommandHelp(string Path, string Description, string Details, string Arguments, IReadOnlyList<OptionHelp> Options, IReadOnlyList<CommandHelp> Commands)
{
    public static CommandHelp Of(string path, Command command) => new(
        path,
        command.Description ?? "",
        command is DetailedCommand detailed ? detailed.Details : "",
        string.Concat(command.Arguments.Where(argument => !argument.Hidden).Select(argument => argument.Name == "PROGRAM" ? " -- PROGRAM [ARGS]" : $" {argument.HelpName ?? argument.Name.ToUpperInvariant()}")),
        [.. command.Options.Where(option => !option.Hidden && option is not (HelpOption or VersionOption)).Select(Of)],
        [.. command.Subcommands.Where(sub => !sub.Hidden).Select(sub => Of($"{path} {sub.Name}", sub))]);

    /// <summary>This one, and all below it.</summary>
    public IEnumerable<CommandHelp> All => Commands.SelectMany(command => command.All).Prepend(this);

    private static OptionHelp Of(Option option)
    {
        string description = option.Description ?? "";
        Match said = DefaultText().Match(description);
        bool isSwitch = option.ValueType == typeof(bool) || option.ValueType == typeof(bool?), isList = option.Arity.MaximumNumberOfValues > 1;
        return new OptionHelp(
            option.Name,
            isSwitch ? null : option.HelpName ?? option.Name.TrimStart('-').ToUpperInvariant(),
            said.Success ? said.Groups[1].Value
                : isSwitch || isList || !option.HasDefaultValue ? null
                : option.GetDefaultValue() is { } value ? value is Enum ? $"{value}".ToLowerInvariant() : $"{value}" : null,
            said.Success ? description[..said.Index].TrimEnd() : description,
            isSwitch,
            isList,
            [.. option.Aliases]);
    }

    [GeneratedRegex(@"\[default[^:\]]*: ([^\]]*)\]$")]
    private static partial Regex DefaultText();
}
