using System.Text;

namespace Hecatonchire.Manual;

/// <summary>The configuration file that comes with the packages: every option of a daemon as a comment, with its default.</summary>
internal static class ConfigurationTemplate
{
    private const int WidthMax = 100;

    /// <param name="command">Of the daemon.</param>
    /// <param name="head">What its reader is to know first.</param>
    /// <param name="examples">By option, values where there is no default, or one that differs from user to user.</param>
    /// <param name="leftOut">Options that are none of a file.</param>
    public static string Write(CommandHelp command, string head, IReadOnlyDictionary<string, string> examples, params string[] leftOut)
    {
        var text = new StringBuilder();
        Comment(text, head);
        foreach (OptionHelp option in command.Options.Where(option => !leftOut.Contains(option.Name)))
        {
            string? example = examples.GetValueOrDefault(option.Name);
            string? value = example ?? option.Default ?? (option.IsSwitch ? "false" : null);
            _ = text.Append('\n');
            Comment(text, $"{option.Description}.{(option.Argument is null ? " true or false." : $" {option.Argument}.")}{(option.Default is not null && option.Default != value ? $" Default: {option.Default}." : option.Default is null && !option.IsSwitch ? " No default." : "")}");
            _ = text.Append($"#{option.Name[2..]} = {value ?? throw new InvalidDataException($"{command.Path} {option.Name} has no default, and no example for the configuration file")}\n");
        }

        return text.ToString();
    }

    private static void Comment(StringBuilder text, string comment)
    {
        foreach (string paragraph in comment.Split('\n'))
        {
            var line = new StringBuilder("#");
            foreach (string word in paragraph.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                if (line.Length + word.Length >= WidthMax)
                {
                    _ = text.Append(line).Append('\n');
                    _ = line.Clear().Append('#');
                }

                _ = line.Append(' ').Append(word);
            }

            _ = text.Append(line).Append('\n');
        }
    }
}
