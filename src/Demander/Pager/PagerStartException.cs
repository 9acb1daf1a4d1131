namespace Hecatonchire.Pager;

/// <summary>A pager did not start. The message is one line for the user.</summary>
/// <param name="message">What failed, why, and what to do.</param>
/// <param name="exitCode">1 for a failed start, 3 for a host that cannot run a pager.</param>
internal sealed class PagerStartException(string message, int exitCode) : Exception(message)
{
    public int ExitCode => exitCode;
}
