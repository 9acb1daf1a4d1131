using System.Text.Json;
using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Report;

/// <summary>The medians of a suite for scripts: one JSON object on one line.</summary>
internal static class SuiteJson
{
    /// <param name="Work">See <see cref="SuiteWorkNames"/>.</param>
    /// <param name="Figure">Of the row; empty where it has one only.</param>
    /// <param name="Systems">By name; without those that the row has nothing of.</param>
    private sealed record Row(string Work, string Title, string Figure, string Unit, bool LessIsBetter, IReadOnlyDictionary<string, Value> Systems);

    /// <summary>The median of <paramref name="Runs"/> that were measured; null without any. <paramref name="Failed"/>: the other runs.</summary>
    private sealed record Value(double? Median, double? Min, double? Max, int Runs, int Failed);

    public static void Write(TextWriter output, SuiteResults results)
    {
        var view = new SuiteView(results);
        output.WriteLine(JsonSerializer.Serialize(
            new { results.Command, results.Started, results.Build, results.Machine, results.Settings, results.Complete, Rows = RowsOf(view) }, BenchJson.Report));
    }

    private static IEnumerable<Row> RowsOf(SuiteView view) =>
        from row in view.Rows
        from figure in Figure.OfKind(row.Workload.Kind)
        select new Row(
            row.Work.Name(), row.Title, figure.Name, figure.Unit, figure.IsTime, row.Cells.ToDictionary(cell => cell.System, cell => ValueOf(view, row, cell, figure)));

    private static Value ValueOf(SuiteView view, SuiteRow row, SuiteCell cell, Figure figure)
    {
        int failed = view.Results.RunsOf(cell).Count(run => run.Outcome != SuiteOutcome.Done);
        return view.Spread(row, cell.System, figure.Of) is { } spread
            ? new Value(spread.Median, spread.Min, spread.Max, spread.Count, failed)
            : new Value(null, null, null, 0, failed);
    }
}
