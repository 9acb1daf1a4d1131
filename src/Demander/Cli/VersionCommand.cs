using System.CommandLine;
using System.Reflection;

namespace Hecatonchire.Cli;

/// <summary>`heca version`.</summary>
internal static class VersionCommand
{
    public static Command Create()
    {
        var command = new Command("version", "Print the version");
        command.SetAction(parsed => parsed.InvocationConfiguration.Output.WriteLine($"heca {Text}"));
        return command;
    }

    private static string Text => typeof(VersionCommand).Assembly
        .GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
}
