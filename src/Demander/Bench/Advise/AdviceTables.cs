using System.Globalization;
using Hecatonchire.Bench.Report;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Advise;

/// <summary>What was found out, as a table, and as a curve of text for where there are no pictures.</summary>
internal static class AdviceTables
{
    private const int BarWidth = 40;

    /// <summary>A line per budget, the greatest first, below that of the program alone.</summary>
    public static ReportTable Table(Advice advice) => new(
        "Medians (least to greatest) of the program's own time; pages are of 4 KiB",
        ["local memory", "of all", "time (s)", "slowdown", "pages out", "pages in", ""],
        [
            ["without heca", new ByteSize(advice.PeakBytes).ToString(), Text(advice.AloneTime), "1.00", "", "", ""],
            .. advice.BySize.Select(point => (IReadOnlyList<string>)
            [
                point.Budget.Text, point.Budget.Share, point.Time is { } time ? Text(time) : "-", Slowdown(advice, point),
                Count(point.PagesOut), Count(point.PagesIn), End(advice, point),
            ]),
        ]);

    /// <summary>The slowdown of each budget as a bar, with a mark at what is accepted.</summary>
    public static IReadOnlyList<string> Curve(Advice advice)
    {
        AdvicePoint[] points = [.. advice.BySize];
        double limit = advice.Settings.Slowdown;
        double full = Math.Max(limit, points.Max(point => Value(advice, point)));
        int mark = Place(limit, full);
        int share = points.Max(point => point.Budget.Share.Length), size = points.Max(point => point.Budget.Text.Length);
        return
        [
            .. points.Select(point =>
            {
                char[] bar = [.. new string('#', Place(Value(advice, point), full)).PadRight(BarWidth + 1)];
                bar[mark] = '|';
                return $"{point.Budget.Share.PadLeft(share)}  {point.Budget.Text.PadLeft(size)}  {new string(bar)} {Slowdown(advice, point)}";
            }),
            string.Create(CultureInfo.InvariantCulture, $"times the time without heca; | is {limit:0.00}, which is accepted"),
        ];
    }

    /// <summary>As it is shown: one that was ended is slower than what anybody wants to know; a dash where it cannot be told.</summary>
    public static string Slowdown(Advice advice, AdvicePoint point) =>
        point.Outcome == AdviceOutcome.Stopped ? string.Create(CultureInfo.InvariantCulture, $"> {advice.Settings.SlowdownMax:0.##}")
        : point.Slowdown is { } slowdown ? string.Create(CultureInfo.InvariantCulture, $"{slowdown:0.00}")
        : "-";

    private static double Value(Advice advice, AdvicePoint point) => point.Outcome == AdviceOutcome.Stopped ? advice.Settings.SlowdownMax : point.Slowdown ?? 0;

    private static int Place(double slowdown, double full) => (int)Math.Round(slowdown / full * BarWidth);

    private static string End(Advice advice, AdvicePoint point) => point.Outcome switch
    {
        AdviceOutcome.Failed => string.Create(CultureInfo.InvariantCulture, $"ended with status {point.Runs[^1].ExitStatus}"),
        AdviceOutcome.Stopped => "was ended",
        _ => point == advice.Smallest ? "smallest that is enough" : "",
    };

    private static string Text(Spread time) => time.Count > 1
        ? $"{Figure.Significant(time.Median)} ({Figure.Significant(time.Min)} to {Figure.Significant(time.Max)})"
        : Figure.Significant(time.Median);

    private static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
