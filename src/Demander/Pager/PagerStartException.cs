namespace Hecatonchire.Pager;

/// <summary>A pager could not start. The message is one line for the user, the exit code that of the command.</summary>
internal sealed class PagerStartException(string message, int exitCode) : Exception(message)
{
    public int ExitCode { get; } = exitCode;
}
