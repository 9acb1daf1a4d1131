namespace Hecatonchire.Manual;

/// <summary>The manual page of a program: its help texts, and the tables of docs/operations.md on what is around it.</summary>
internal static class CommandPage
{
    /// <param name="help">Of the program.</param>
    /// <param name="section">Of the manual.</param>
    /// <param name="summary">What it is, in a few words.</param>
    /// <param name="operations">docs/operations.md.</param>
    /// <param name="version">Of the build.</param>
    /// <param name="seeAlso">Other pages.</param>
    public static string Write(CommandHelp help, int section, string summary, MarkdownTables operations, string version, params string[] seeAlso)
    {
        var page = new Roff(help.Path, section, "Hecatonchire", $"heca {version}");
        _ = page.Section("NAME").Text($"{help.Path} - {summary}");
        _ = page.Section("SYNOPSIS").Literal(help.All.Where(command => command.Commands.Count == 0).Select(Synopsis));
        _ = page.Section("DESCRIPTION").Text(help.Description);
        foreach (CommandHelp command in help.All)
        {
            Write(page, command, isRoot: command == help);
        }

        _ = page.Section("EXIT STATUS");
        foreach (string[] row in operations.Rows("Exit statuses"))
        {
            string text = row[section == 8 ? 2 : 1];
            _ = text.Length > 0 ? page.Item(row[0], text) : page;
        }

        _ = page.Section("ENVIRONMENT");
        foreach (string[] row in operations.Rows("Environment variables").Where(row => row[1] == "both" || row[1].StartsWith(section == 8 ? "heca-sponsor" : "heca", StringComparison.Ordinal) && (section == 8 || row[1] != "heca-sponsor")))
        {
            _ = page.Item(row[0], row[2]);
        }

        _ = page.Section("FILES");
        foreach (string[] row in operations.Rows("Files").Where(row => section != 8 || row[0].Contains("sponsor", StringComparison.Ordinal)))
        {
            _ = page.Item(row[0], row[1]);
        }

        return page.Section("SEE ALSO").Text(string.Join(", ", seeAlso)).ToString();
    }

    private static string Synopsis(CommandHelp command) => $"{command.Path}{(command.Options.Count > 0 ? " [options]" : "")}{command.Arguments}";

    private static void Write(Roff page, CommandHelp command, bool isRoot)
    {
        if (isRoot && command.Options.Count > 0)
        {
            _ = page.Section("OPTIONS");
        }
        else if (isRoot)
        {
            _ = page.Section("COMMANDS");
        }
        else if (command.Commands.Count == 0)
        {
            _ = page.Subsection(Synopsis(command)).Text($"{command.Description}.");
        }

        foreach (OptionHelp option in command.Options)
        {
            _ = page.Option(
                string.Join(", ", option.Aliases.Append(option.Name)), option.Argument, $"{option.Description}{(option.Default is null ? "" : $" [default: {option.Default}]")}");
        }

        if (command.Details.Length > 0)
        {
            _ = page.Text(command.Details);
        }
    }
}
