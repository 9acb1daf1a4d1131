namespace Hecatonchire.Cli;

/// <summary>Ends a subcommand with one line on standard error and an exit status.</summary>
internal sealed class CommandException(int exitStatus, string message) : Exception(message)
{
    public const int Failed = 1;
    public const int Usage = 2;

    public int ExitStatus { get; } = exitStatus;
}
