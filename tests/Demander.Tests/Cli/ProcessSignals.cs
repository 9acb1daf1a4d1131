using Xunit;

namespace Hecatonchire.Tests.Cli;

/// <summary>
/// Tests of what `heca run` does with signals. How a process treats a signal is one thing for all its threads, and the runtime
/// changes it where a process is started: these run alone.
/// </summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public static class ProcessSignals
{
    public const string Name = "process signals";
}
