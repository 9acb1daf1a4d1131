using Hecatonchire.Units;

namespace Hecatonchire.Bench.Suite;

/// <summary>How many cells there are, and who says how much each does.</summary>
internal enum SuiteScale
{
    /// <summary>All; what this host can do in the time is tried beforehand.</summary>
    Full,

    /// <summary>Few, with little work: shows that everything runs, measures nothing.</summary>
    Quick,

    /// <summary>Few, with enough work for ratios between two of them: `heca bench check`.</summary>
    Check,
}

/// <summary>What of the suite is to be measured, and how often; the same settings give the same cells.</summary>
internal sealed record SuiteSettings
{
    public const long SizeDefault = 1L << 30;
    public const long QuickSizeDefault = 16L << 20;
    public const int RunsDefault = 3;
    public const double CellSecondsDefault = 5;

    /// <summary>Below this the smallest share, 1:5, is less than a pager can work with.</summary>
    public const long SizeMin = 16L << 20;

    public long SizeBytes { get; init; } = SizeDefault;

    public int Runs { get; init; } = RunsDefault;

    /// <summary>Of <see cref="SuiteSystems.All"/>.</summary>
    public IReadOnlyList<string> Systems { get; init; } = SuiteSystems.All;

    /// <summary>Of <see cref="SuiteWorkNames.All"/>.</summary>
    public IReadOnlyList<string> Work { get; init; } = SuiteWorkNames.All;

    /// <summary>How long the slowest system of a row may take, roughly; quicksort takes what it takes.</summary>
    public double CellSeconds { get; init; } = CellSecondsDefault;

    /// <summary>Where swap files go; null: where `heca bench` puts them.</summary>
    public string? SwapDirectory { get; init; }

    public ulong Seed { get; init; } = 1;

    public SuiteScale Scale { get; init; }

    public ByteSize Size => new(SizeBytes);
}
