namespace Hecatonchire.Cli;

/// <summary>A command cannot go on. The message is the one line its user sees: what failed, why, and what to do.</summary>
internal class CommandException(string message, int exitStatus) : Exception(message)
{
    /// <summary>See <see cref="ExitStatus"/>.</summary>
    public int Status => exitStatus;
}

/// <summary>The exit statuses of `heca` itself. `heca run` otherwise returns its program's.</summary>
internal static class ExitStatus
{
    public const int Done = 0;

    /// <summary>What was asked for was tried and failed.</summary>
    public const int Failed = 1;

    /// <summary>Bad usage: nothing was tried.</summary>
    public const int Usage = 2;

    /// <summary>This host cannot run a pager.</summary>
    public const int HostCannot = 3;

    /// <summary>As shells have it: the program is there but cannot be executed.</summary>
    public const int NotExecutable = 126;

    /// <summary>As shells have it: there is no such program.</summary>
    public const int NotFound = 127;
}
