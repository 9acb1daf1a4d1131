using System.Globalization;
using Hecatonchire.Pager;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Advise;

/// <summary>A local budget to measure: a value for `--local`.</summary>
/// <param name="Bytes">Whole pages, at least <see cref="LocalBudget.BytesMin"/>.</param>
/// <param name="Percent">Of the program's memory at its peak, as asked for; of one in between, what it is.</param>
internal readonly record struct AdviceBudget(long Bytes, double Percent)
{
    /// <summary>As `--local` takes it, exactly: <c>136MiB</c>, <c>4672KiB</c>.</summary>
    public string Text => Bytes % (1 << 20) == 0
        ? string.Create(CultureInfo.InvariantCulture, $"{Bytes >> 20}MiB")
        : string.Create(CultureInfo.InvariantCulture, $"{Bytes >> 10}KiB");

    /// <summary>Whole percents, as people say it.</summary>
    public string Share => string.Create(CultureInfo.InvariantCulture, $"{Percent:0.#} %");
}

/// <summary>Which budgets are worth a run.</summary>
internal static class AdviceBudgets
{
    /// <summary>
    /// A program is captured when it has seven eighths of its budget: with 115 % it never is, and that is what heca costs a program that has what it needs. With 100 % it is.
    /// </summary>
    public const string PercentsDefault = "115,100,75,50,33,25,20";

    private const double PercentMax = 200;

    /// <summary>More than anybody waits for.</summary>
    private const int CountMax = 50;

    /// <summary>From here on budgets are whole MiB, which people can read.</summary>
    private const long LargeBytes = 16L << 20;

    private const long LargeUnit = 1L << 20, SmallUnit = 64L << 10;

    /// <summary>Parses shares in percent, <c>100,75,50</c>, in any order; false unless all are above 0, at most 200, and there are some. Greatest first, each once.</summary>
    public static bool TryParse(string text, out IReadOnlyList<double> percents)
    {
        string[] words = text.Split(',', StringSplitOptions.TrimEntries);
        var found = new List<double>();
        percents = [];
        foreach (string word in words)
        {
            if (!double.TryParse(word.TrimEnd('%').TrimEnd(), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double percent) || percent is not (> 0 and <= PercentMax))
            {
                return false;
            }

            found.Add(percent);
        }

        percents = [.. found.Distinct().OrderDescending()];
        return percents.Count is > 0 and <= CountMax;
    }

    /// <summary>Greatest first, each size once; without those that are too small for a pager.</summary>
    public static IReadOnlyList<AdviceBudget> Of(long peakBytes, IReadOnlyList<double> percents) =>
    [
        .. percents.Select(percent => new AdviceBudget(Rounded(peakBytes, (long)Math.Ceiling(peakBytes * percent / 100)), percent))
            .Where(budget => budget.Bytes >= LocalBudget.BytesMin)
            .DistinctBy(budget => budget.Bytes),
    ];

    /// <summary>The middle between two budgets; null where there is none that differs from both.</summary>
    public static AdviceBudget? Between(long peakBytes, AdviceBudget small, AdviceBudget large)
    {
        long bytes = Rounded(peakBytes, (small.Bytes + large.Bytes) / 2);
        return bytes > small.Bytes && bytes < large.Bytes ? new AdviceBudget(bytes, Math.Round(100.0 * bytes / peakBytes, 1)) : null;
    }

    /// <summary>Up, so that all of the program's memory is not a little less.</summary>
    private static long Rounded(long peakBytes, long bytes)
    {
        long unit = peakBytes >= LargeBytes ? LargeUnit : SmallUnit;
        return (bytes + unit - 1) / unit * unit;
    }
}
