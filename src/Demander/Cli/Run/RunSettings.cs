using Hecatonchire.Capture;
using Hecatonchire.Eviction;
using Hecatonchire.Lending;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Hecatonchire.Transport;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli.Run;

/// <summary>Whether a program's memory is captured, or only what it asks for is sponsored.</summary>
internal enum CaptureChoice
{
    /// <summary>By what the program's file tells.</summary>
    Auto,
    Yes,
    No,
}

/// <summary>What `heca run` was asked for, checked.</summary>
internal sealed record RunSettings
{
    /// <summary>Null: what the host's pager gives who does not say.</summary>
    public required LocalBudget? Local { get; init; }

    public required CaptureChoice Capture { get; init; }

    public required CaptureRules CaptureRules { get; init; }

    /// <summary>True: what a captured program starts is captured too.</summary>
    public required bool FollowChildren { get; init; }

    public required PrefetchKind Prefetch { get; init; }

    public required TransportPreference Transport { get; init; }

    public required EvictionKind Eviction { get; init; }

    public required bool Clean { get; init; }

    /// <summary>The socket of the host's pager, which serves the program; null: a pager of its own.</summary>
    public required string? Service { get; init; }

    /// <summary>Null: an embedded sponsor that offers <see cref="EmbeddedBytes"/>, or where there is a service that one's.</summary>
    public required Borrowing? Borrowing { get; init; }

    public required long EmbeddedBytes { get; init; }

    /// <summary>What takes pages that no sponsor has room for; null: nothing.</summary>
    public required SpillPlace? Spill { get; init; }

    /// <summary>True: pages are sealed before they leave this host.</summary>
    public required bool Seal { get; init; }

    public required TimeSpan StopAfter { get; init; }

    public required WatchSettings Watch { get; init; }

    public required LogLevel LogLevel { get; init; }

    /// <summary>Print a summary on standard error at the end.</summary>
    public required bool Stats { get; init; }

    /// <summary>The file that gets <see cref="RunFigures"/> at the end; null: none.</summary>
    public required string? StatsFile { get; init; }

    /// <summary>As typed: a path, or a name to look for in PATH.</summary>
    public required string Program { get; init; }

    public required IReadOnlyList<string> Arguments { get; init; }
}
