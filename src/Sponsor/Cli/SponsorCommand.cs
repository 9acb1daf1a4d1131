using System.CommandLine;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Sponsor.Hosting;

namespace Hecatonchire.Sponsor.Cli;

/// <summary>The command line of heca-sponsor. Errors are one line on standard error and an exit status.</summary>
internal static class SponsorCommand
{
    public const int ExitDone = 0;
    public const int ExitFailed = 1;
    public const int ExitUsage = 2;
    public const int ExitHostCannot = 3;

    /// <summary>Runs the daemon until it is told to stop, and returns the exit status.</summary>
    public static int Run(string[] args)
    {
        RootCommand root = Create();
        ParseResult result = root.Parse(args);
        return result.Errors.Count > 0
            ? Fail(ExitUsage, $"{result.Errors[0].Message.TrimEnd('.')}; heca-sponsor --help lists the options")
            : result.Invoke();
    }

    /// <summary>The options, and what runs with them.</summary>
    public static RootCommand Create()
    {
        Dictionary<SettingDefinition, Option> options = SettingDefinition.All.ToDictionary(definition => definition, Declare);
        Option<string?> config = new("--config") { HelpName = "FILE", Description = $"A file with options, a line `name = value` each ({Settings.ConfigEnvironment})" };
        Option<bool> dump = new("--dump-config") { Description = "Print the options in effect and where each came from, and exit" };
        RootCommand root = new(
            "Lends this host's memory to programs on other hosts.\n\n"
            + $"Each option can be given in the environment too (--data-port as {SettingDefinition.DataPort.Environment}) and in the --config file "
            + $"({SettingDefinition.DataPort.Name} = 7401); the command line wins over the environment, the environment over the file.");
        foreach (Option option in options.Values.Append(config).Append(dump))
        {
            root.Add(option);
        }

        root.SetAction(parsed => Guard(() =>
        {
            Settings settings = Settings.Resolve(
                definition => Given(parsed, options[definition]), Environment.GetEnvironmentVariable, parsed.GetValue(config));
            SponsorOptions checkedOptions = SponsorOptionsValidator.Validate(settings);
            if (parsed.GetValue(dump))
            {
                ConfigDump.Write(settings, Console.Out);
                return ExitDone;
            }

            return SponsorHost.Run(checkedOptions);
        }));
        return root;
    }

    private static Option Declare(SettingDefinition definition)
    {
        string description = definition.DefaultText is null ? definition.Description : $"{definition.Description} [default: {definition.DefaultText}]";
        return definition.IsList
            ? new Option<string[]?>(definition.CommandLine) { Description = description, HelpName = definition.Argument }
            : definition.IsSwitch
            ? new Option<bool?>(definition.CommandLine) { Description = definition.Description, Arity = ArgumentArity.ZeroOrOne }
            : new Option<string?>(definition.CommandLine) { Description = description, HelpName = definition.Argument };
    }

    private static string? Given(ParseResult parsed, Option option) => option switch
    {
        Option<string?> text => parsed.GetValue(text),
        Option<string[]?> list => parsed.GetValue(list) is { Length: > 0 } values ? string.Join(',', values) : null,
        Option<bool?> flag => parsed.GetValue(flag) switch { true => "true", false => "false", null => null },
        _ => null,
    };

    private static int Guard(Func<int> run)
    {
        try
        {
            return run();
        }
        catch (UsageException failure)
        {
            return Fail(ExitUsage, failure.Message);
        }
        catch (Exception failure) when (failure is ZmqUnavailableException or HostCannotException)
        {
            return Fail(ExitHostCannot, failure.Message);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ZmqException)
        {
            return Fail(ExitFailed, failure.Message);
        }
    }

    private static int Fail(int status, string message)
    {
        Console.Error.WriteLine($"heca-sponsor: {message.ReplaceLineEndings(" ")}");
        return status;
    }
}
