using System.CommandLine;
using System.CommandLine.Parsing;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Pager;

namespace Hecatonchire.Cli;

/// <summary>The command line of `heca`: parsing, and the one place where whatever goes wrong becomes one line and a status.</summary>
internal static class HecaCommandLine
{
    /// <summary>Set to 1, the stack of an unexpected exception is printed too.</summary>
    public const string DebugEnvironment = "HECA_DEBUG";

    private const string Description =
        "Remote memory: runs a program whose cold pages live in the RAM of a sponsor.\n\n"
        + "Examples:\n"
        + "  heca check                                        what this host has for a pager, and what it lacks\n"
        + "  heca bench demo                                   a random walk and a quicksort in a quarter of their memory\n"
        + "  heca run --sponsor 10.0.0.2:7400 -- ./program     a program of yours, its memory on 10.0.0.2\n"
        + "  heca run --embedded --local 256MiB -- ./program   the same with a sponsor on this host, to try it out\n\n"
        + "Exit status: 0 done, 1 failed, 2 bad usage, 3 this host cannot run a pager; `heca run` returns its program's.";

    public static RootCommand Create(params IEnumerable<Command> commands)
    {
        var root = new RootCommand(Description);
        foreach (Command command in commands)
        {
            root.Add(command);
        }

        DetailedCommand.ExtendHelp(root);
        return root;
    }

    /// <summary>Runs what <paramref name="arguments"/> ask for and returns the exit status.</summary>
    public static int Invoke(RootCommand root, string[] arguments)
    {
        try
        {
            // Arguments may start with @: they are the program's, not names of files with more arguments.
            ParseResult parsed = root.Parse(arguments, new ParserConfiguration { ResponseFileTokenReplacer = null });
            if (parsed.Errors.Count > 0)
            {
                return Fail(ExitStatus.Usage, $"{WhatIsWrong(parsed)}; `{CommandPath(parsed)} --help` says what it takes");
            }

            return parsed.Invoke(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
        }
        catch (Exception e)
        {
            return Fail(e);
        }
    }

    /// <summary>Prints one line on standard error and returns the status.</summary>
    public static int Fail(int status, string message)
    {
        Say(() => Console.Error.WriteLine($"heca: {message.ReplaceLineEndings(" ")}"));
        return status;
    }

    /// <summary>Writes on standard error; a disk that is full below it changes nothing else.</summary>
    public static void Say(Action write)
    {
        try
        {
            write();
        }
        catch (IOException)
        {
            // Nobody can be told.
        }
    }

    private static int Fail(Exception e)
    {
        if (Environment.GetEnvironmentVariable(DebugEnvironment) == "1")
        {
            Say(() => Console.Error.WriteLine(e));
        }

        return e switch
        {
            CommandException failure => Fail(failure.Status, failure.Message),
            PagerStartException failure => Fail(failure.ExitCode, failure.Message),
            ZmqUnavailableException => Fail(ExitStatus.HostCannot, e.Message),
            IOException or UnauthorizedAccessException or ZmqException => Fail(ExitStatus.Failed, e.Message),
            _ => Fail(ExitStatus.Failed, $"unexpected {e.GetType().Name}: {e.Message} ({DebugEnvironment}=1 shows where)"),
        };
    }

    private static string WhatIsWrong(ParseResult parsed) => parsed switch
    {
        { UnmatchedTokens: [string stray, ..] } => $"'{stray}' is no {(stray.StartsWith('-') ? "option" : "command")} of it",
        { CommandResult.Command: RootCommand root } when parsed.Tokens.Count == 0 =>
            $"no command given: {string.Join(", ", root.Subcommands.Where(c => !c.Hidden).Select(c => c.Name))}",
        _ => parsed.Errors[0].Message.TrimEnd('.'),
    };

    private static string CommandPath(ParseResult parsed)
    {
        var names = new Stack<string>();
        for (SymbolResult? at = parsed.CommandResult; at is not null; at = at.Parent)
        {
            if (at is CommandResult command)
            {
                names.Push(command.Command is RootCommand ? "heca" : command.Command.Name);
            }
        }

        return string.Join(' ', names);
    }
}
