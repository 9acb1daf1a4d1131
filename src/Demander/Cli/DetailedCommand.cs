using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Hecatonchire.Cli;

/// <summary>A command whose own help ends with more than fits into the list of commands: rules and examples.</summary>
internal sealed class DetailedCommand(string name, string description, string details) : Command(name, description)
{
    public string Details => details;

    /// <summary>Makes the help of <paramref name="root"/> and all its commands print details.</summary>
    public static void ExtendHelp(RootCommand root)
    {
        HelpOption help = root.Options.OfType<HelpOption>().Single();
        help.Action = new HelpWithDetails((SynchronousCommandLineAction)help.Action!);
    }

    private sealed class HelpWithDetails(SynchronousCommandLineAction help) : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            int status = help.Invoke(parseResult);
            if (parseResult.CommandResult.Command is DetailedCommand command)
            {
                parseResult.InvocationConfiguration.Output.WriteLine(command.Details);
            }

            return status;
        }

        public override bool ClearsParseErrors => true;
    }
}
