using System.Globalization;
using Hecatonchire.Bench.Report;

namespace Hecatonchire.Bench.Ratios;

/// <summary>The comparison for people.</summary>
internal static class RatioTable
{
    public static ReportTable Of(IReadOnlyList<RatioComparison> comparisons) => new(
        "",
        ["ratio", "now", "from", "to", "expected", "tolerated", "verdict"],
        [
            .. comparisons.Select(c => (IReadOnlyList<string>)
            [
                c.Definition.What,
                Text(c.Now?.Median), Text(c.Now?.Min), Text(c.Now?.Max),
                Text(c.Expected?.Expected), Text(c.Expected is { } e ? e.Expected * (1 + e.Tolerance) : null),
                Of(c.Verdict),
            ]),
        ]);

    private static string Of(RatioVerdict verdict) => verdict switch
    {
        RatioVerdict.Good => "good",
        RatioVerdict.Better => "better: --update?",
        RatioVerdict.Regression => "REGRESSION",
        RatioVerdict.Unexpected => "not in the file: --update",
        _ => "NOT MEASURED",
    };

    private static string Text(double? ratio) => ratio?.ToString("0.00", CultureInfo.InvariantCulture) ?? "-";
}
