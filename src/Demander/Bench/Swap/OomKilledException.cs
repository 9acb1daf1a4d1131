using Hecatonchire.Cli;

namespace Hecatonchire.Bench.Swap;

/// <summary>
/// The kernel killed the worker because it found no page to swap out in time, though swap was free. A result of the system that
/// is measured, not a defect of the measurement.
/// </summary>
internal sealed class OomKilledException(string message) : CommandException($"{Mark}: {message}", ExitStatus.Failed)
{
    /// <summary>What its message begins with: a suite knows it by that.</summary>
    public const string Mark = "OOM-killed";
}
