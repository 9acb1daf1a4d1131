using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Report;

/// <summary>The results of a suite as tables ask for them: medians and spreads of a row's systems.</summary>
internal sealed class SuiteView(SuiteResults results)
{
    /// <summary>Where there is nothing to say.</summary>
    public const string None = "-";

    public SuiteResults Results => results;

    public IReadOnlyList<SuiteRow> Rows { get; } = SuiteMatrix.Rows(results.Settings);

    /// <summary>Those that any run is of, in the order of the columns.</summary>
    public IReadOnlyList<string> Systems { get; } = [.. SuiteSystems.All.Where(results.Settings.Systems.Contains)];

    public IEnumerable<SuiteRow> RowsOf(params SuiteWork[] work) => Rows.Where(row => work.Contains(row.Work));

    /// <summary>
    /// The random walk by more and more threads. Systems other than heca ran with some numbers of threads only, in rows of the
    /// random walk itself.
    /// </summary>
    public IEnumerable<SuiteRow> ScalingRows =>
        RowsOf(SuiteWork.Threads).Select(row => RowsOf(SuiteWork.RandomWalk).FirstOrDefault(walk => walk.AmountName == row.AmountName) ?? row);

    /// <summary>Of the runs that were measured; null without any.</summary>
    public Spread? Spread(SuiteRow row, string system, Func<Measurement, double?> of) =>
        row.Cell(system) is { } cell
            ? Suite.Spread.Of(results.RunsOf(cell).Select(run => run.Measured).OfType<Measurement>().Select(of).OfType<double>())
            : null;

    public double? Median(SuiteRow row, string system, Func<Measurement, double?> of) => Spread(row, system, of)?.Median;

    /// <summary>Median and spread; how its runs failed if they did; a dash where the row has nothing of the system.</summary>
    public string Text(SuiteRow row, string system, Figure figure, bool spread)
    {
        SuiteRun[] runs = row.Cell(system) is { } cell ? [.. results.RunsOf(cell)] : [];
        string failures = string.Join(", ", runs
            .Where(run => run.Outcome != SuiteOutcome.Done)
            .GroupBy(run => run.Outcome)
            .Select(group => runs.Length == group.Count() ? SuiteNames.Of(group.Key) : $"{group.Count()} of {runs.Length} {SuiteNames.Of(group.Key)}"));
        if (Spread(row, system, figure.Of) is not { } measured)
        {
            return failures.Length > 0 ? failures : None;
        }

        string range = spread && measured.Count > 1 ? $" ({figure.Text(measured.Min)} to {figure.Text(measured.Max)})" : "";
        return $"{figure.Text(measured.Median)}{range}{(failures.Length > 0 ? $" [{failures}]" : "")}";
    }

    /// <summary>The row's time by that in local memory, whose median is the reference of all; null where one is missing.</summary>
    public Spread? Slowdown(SuiteRow row, string system) =>
        Spread(row, system, m => m.ElapsedS) is { } time && Median(row, SuiteSystems.Local, m => m.ElapsedS) is { } local and > 0
            ? new Spread(time.Median / local, time.Min / local, time.Max / local, time.Count)
            : null;

    /// <summary>At which percentages touches of the row were measured in every one of its runs.</summary>
    public IReadOnlyList<double> TouchPercents(SuiteRow row, string system)
    {
        Measurement[] runs = row.Cell(system) is { } cell ? [.. results.RunsOf(cell).Select(run => run.Measured).OfType<Measurement>()] : [];
        return runs.Length == 0 ? [] : [.. runs[0].Touches.Select(p => p.Percent).Where(percent => runs.All(run => run.Touch(percent) is not null))];
    }

    /// <summary>The row's median by that of <paramref name="reference"/>, as time; null where one of them is missing.</summary>
    public double? TimeRatio(SuiteRow row, string system, string reference, Figure figure) =>
        Median(row, system, figure.Of) is { } value && Median(row, reference, figure.Of) is { } other && value > 0 && other > 0
            ? figure.TimeRatio(value, other)
            : null;
}
