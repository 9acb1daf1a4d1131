using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Ratios;

/// <summary>What became of a ratio.</summary>
internal enum RatioVerdict
{
    Good,

    /// <summary>So much less than expected that the file should say so.</summary>
    Better,

    /// <summary>More than expected and tolerated.</summary>
    Regression,

    /// <summary>The file says nothing of it.</summary>
    Unexpected,

    /// <summary>A run that it takes failed.</summary>
    NotMeasured,
}

/// <summary>One ratio as it is and as it should be.</summary>
internal sealed record RatioComparison(RatioDefinition Definition, Spread? Now, ExpectedRatio? Expected)
{
    public RatioVerdict Verdict => (Now, Expected) switch
    {
        (null, _) => RatioVerdict.NotMeasured,
        (_, null) => RatioVerdict.Unexpected,
        ({ } now, { } expected) when now.Median > expected.Expected * (1 + expected.Tolerance) => RatioVerdict.Regression,
        ({ } now, { } expected) when now.Median < expected.Expected * (1 - expected.Tolerance) => RatioVerdict.Better,
        _ => RatioVerdict.Good,
    };

    public bool Passes => Verdict is RatioVerdict.Good or RatioVerdict.Better;

    /// <summary>Every ratio there is against the file's.</summary>
    public static IReadOnlyList<RatioComparison> Compare(IReadOnlyDictionary<string, Spread?> now, IReadOnlyDictionary<string, ExpectedRatio> expected) =>
        [.. RatioDefinition.All.Select(definition => new RatioComparison(definition, now.GetValueOrDefault(definition.Name), expected.GetValueOrDefault(definition.Name)))];

    /// <summary>What is expected from now on: the medians of now, rounded to hundredths, with the tolerances there were.</summary>
    public static IReadOnlyDictionary<string, ExpectedRatio> Update(IReadOnlyDictionary<string, Spread?> now, IReadOnlyDictionary<string, ExpectedRatio> before) =>
        RatioDefinition.All.ToDictionary(
            definition => definition.Name,
            definition => new ExpectedRatio(
                Math.Round(now[definition.Name]!.Value.Median, 2),
                before.GetValueOrDefault(definition.Name)?.Tolerance ?? definition.Tolerance));
}
