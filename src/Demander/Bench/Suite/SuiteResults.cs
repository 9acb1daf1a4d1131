using System.Text.Json;
using System.Text.Json.Serialization;
using Hecatonchire.Host;

namespace Hecatonchire.Bench.Suite;

/// <summary>How a run of a cell ended.</summary>
internal enum SuiteOutcome
{
    /// <summary>Measured and verified.</summary>
    Done,

    /// <summary>The data were not what was written: the one outcome that makes the suite fail.</summary>
    Unverified,

    /// <summary>The kernel killed the program for want of memory.</summary>
    OomKilled,

    /// <summary>Took longer than any sensible run.</summary>
    TimedOut,

    /// <summary>Anything else, such as a device that this host lacks.</summary>
    Failed,
}

/// <summary>One run of one cell.</summary>
internal sealed record SuiteRun
{
    /// <summary>See <see cref="SuiteCell.Id"/>.</summary>
    public required string Cell { get; init; }

    /// <summary>From 1.</summary>
    public required int Round { get; init; }

    /// <summary>What was run, to run it again.</summary>
    public required string Command { get; init; }

    /// <summary>From start to end of the command, with what is not measured.</summary>
    public required double Seconds { get; init; }

    public required SuiteOutcome Outcome { get; init; }

    /// <summary>Of what did not end well: its own line.</summary>
    public string? Message { get; init; }

    /// <summary>What the command printed, as it printed it; null where it did not come to that.</summary>
    public JsonElement? Output { get; init; }

    /// <summary>Null unless <see cref="SuiteOutcome.Done"/>.</summary>
    [JsonIgnore]
    public Measurement? Measured => Outcome == SuiteOutcome.Done && Output is { } output ? Measurement.Of(output) : null;
}

/// <summary>A suite as far as it has come: what results.json holds.</summary>
internal sealed record SuiteResults
{
    public const int FormatNow = 1;

    public int Format { get; init; } = FormatNow;

    /// <summary>Everything is measured that was asked for.</summary>
    public bool Complete { get; init; }

    /// <summary>As the user gave it.</summary>
    public required string Command { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>Version and commit of heca.</summary>
    public required string Build { get; init; }

    public required HostMachine Machine { get; init; }

    public required SuiteSettings Settings { get; init; }

    /// <summary>Accesses or passes by <see cref="SuiteRow.AmountName"/>.</summary>
    public IReadOnlyDictionary<string, long> Amounts { get; init; } = new Dictionary<string, long>();

    public IReadOnlyList<SuiteRun> Runs { get; init; } = [];

    public IEnumerable<SuiteRun> RunsOf(SuiteCell cell) => Runs.Where(run => run.Cell == cell.Id);
}
