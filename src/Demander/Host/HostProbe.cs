namespace Hecatonchire.Host;

/// <summary>What a probe's finding means for a pager on this host.</summary>
internal enum ProbeStatus
{
    Ok,

    /// <summary>A pager runs, but slower, or with less protection.</summary>
    Warn,

    /// <summary>A pager cannot run.</summary>
    Fail,
}

/// <summary>One line of `heca check`.</summary>
/// <param name="Name">Stable, snake_case.</param>
/// <param name="Status">Whether there is something to mend.</param>
/// <param name="Found">What is there.</param>
/// <param name="Meaning">What that means for the pager.</param>
/// <param name="Remedy">The command that mends it; null where nothing is to mend, or no command can.</param>
internal sealed record HostProbe(string Name, ProbeStatus Status, string Found, string Meaning, string? Remedy = null);
