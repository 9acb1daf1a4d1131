using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Ratios;

/// <summary>What one round of a check measured; null where the run is missing or failed.</summary>
internal sealed class RatioRound(SuiteResults results, int round)
{
    private readonly IReadOnlyList<SuiteRow> _rows = SuiteMatrix.Rows(results.Settings);

    /// <summary>Microseconds.</summary>
    public double? Touch(string system, double percent) => Of(SuiteWork.Fault, system)?.Touch(percent);

    public Measurement? Scan(string system) => Of(SuiteWork.Scan, system);

    public Measurement? Walk(string system) => Of(SuiteWork.RandomWalk, system);

    public Measurement? Sort(string system) => Of(SuiteWork.Quicksort, system);

    private Measurement? Of(SuiteWork work, string system) =>
        _rows.FirstOrDefault(row => row.Work == work)?.Cell(system) is { } cell
            ? results.RunsOf(cell).FirstOrDefault(run => run.Round == round)?.Measured
            : null;
}
