using Hecatonchire.Transport;

namespace Hecatonchire.Bench.Advise;

/// <summary>What `heca bench advise` was asked for, checked.</summary>
internal sealed record AdviceSettings
{
    public const int RunsDefault = 3;
    public const double SlowdownDefault = 1.10, SlowdownMaxDefault = 10;

    /// <summary>With --precise: each halves what is not known.</summary>
    public const int PreciseHalvings = 2;

    /// <summary>The path to execute.</summary>
    public required string Program { get; init; }

    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>The file that is its standard input.</summary>
    public required string Input { get; init; }

    /// <summary>Greatest first.</summary>
    public required IReadOnlyList<double> Percents { get; init; }

    public required double Slowdown { get; init; }

    public required double SlowdownMax { get; init; }

    public required int Runs { get; init; }

    public required int Halvings { get; init; }

    /// <summary>Output that differs is a failure.</summary>
    public required bool SameOutput { get; init; }

    /// <summary>What the program starts is captured, each process with the budget for itself.</summary>
    public required bool FollowChildren { get; init; }

    /// <summary>True: a sponsor of our own; otherwise <see cref="RunOptions"/> name some.</summary>
    public required bool IsEmbedded { get; init; }

    /// <summary>What the embedded sponsor offers; null: what the program needs.</summary>
    public required long? EmbeddedBytes { get; init; }

    public required TransportPreference Transport { get; init; }

    /// <summary>Options of `heca run`, as they were given.</summary>
    public required IReadOnlyList<string> RunOptions { get; init; }

    public string Name => Path.GetFileName(Program);
}
