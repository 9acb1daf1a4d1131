using Spectre.Console;

namespace Hecatonchire.Cli;

/// <summary>Where tables are written.</summary>
internal static class TextConsole
{
    /// <summary>A serial console says that it has no columns at all.</summary>
    private const int WidthMin = 80;

    public static IAnsiConsole Create(TextWriter output)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(output) });
        console.Profile.Width = Math.Max(console.Profile.Width, WidthMin);
        return console;
    }
}
