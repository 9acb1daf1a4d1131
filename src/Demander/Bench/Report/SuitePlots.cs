using System.Globalization;
using Hecatonchire.Bench.Report.Plots;
using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Report;

/// <summary>The plots of a suite's report; null where nothing was measured that one could show.</summary>
internal static class SuitePlots
{
    public static Plot? Latencies(SuiteView view)
    {
        SuiteRow? row = view.RowsOf(SuiteWork.Fault).FirstOrDefault();
        PlotSeries[] series = row is null
            ? []
            : [.. row.Systems.Where(s => s != SuiteSystems.Local).Select(system => new PlotSeries(system, system, [.. view.TouchPercents(row, system).Select(percent => Touch(view, row, system, percent))]))];
        PlotPoint[] all = [.. series.SelectMany(s => s.Points)];
        return all.Length == 0 ? null : new Plot(
            "Latency of single faults by percentile",
            PlotAxis.Percentiles("touches, by latency", all.Max(p => p.X)),
            PlotAxis.Log("µs per touch", all.Min(p => p.Low), all.Max(p => p.High)),
            series,
            PlotSpread.Band);
    }

    public static Plot? Slowdowns(SuiteView view)
    {
        SuiteRow[] rows = [.. view.RowsOf(SuiteWork.Quicksort)];
        PlotSeries[] series =
        [
            .. from system in view.Systems
               where system != SuiteSystems.Local
               select new PlotSeries(system, system, [.. rows.SelectMany((row, i) => Points(system, row.Local, i, view.Slowdown(row, system), "× local"))]),
        ];
        PlotPoint[] all = [.. series.SelectMany(s => s.Points)];
        return all.Length == 0 ? null : new Plot(
            "Quicksort: slowdown against the share of memory that is local",
            PlotAxis.Names("local memory : all memory", [.. rows.Select(row => row.Local)]),
            PlotAxis.Linear("times the time in local memory", all.Max(p => p.High), from: 1),
            series);
    }

    public static Plot? Windows(SuiteView view)
    {
        SuiteRow[] rows = [.. view.RowsOf(SuiteWork.Window)];
        string[] names = [.. rows.Select(row => row.Systems.Contains(SuiteSystems.Heca) ? row.Prefetch : Text(row.Window))];
        string[] systems = [SuiteSystems.Floor, SuiteSystems.Heca];
        PlotSeries[] series =
        [
            .. from system in systems
               select new PlotSeries(system, system, [.. rows.SelectMany((row, i) => Points(system, names[i], i, view.Spread(row, system, m => m.PagesPerS), "pages/s"))])
               {
                   Joined = system == SuiteSystems.Floor,
               },
        ];
        PlotPoint[] all = [.. series.SelectMany(s => s.Points)];
        return all.Length == 0 ? null : new Plot(
            "Scan: throughput by prefetch policy and by window",
            PlotAxis.Names("heca: policy of prefetch; floor: pages per window", names),
            PlotAxis.Linear("pages/s", all.Max(p => p.High)),
            series);
    }

    public static Plot? Threads(SuiteView view)
    {
        SuiteRow[] rows = [.. view.ScalingRows];
        PlotSeries[] series =
        [
            .. from system in view.Systems
               where system != SuiteSystems.Local
               select new PlotSeries(system, system, [.. rows.SelectMany((row, i) => Points(system, row.Title, i, view.Spread(row, system, m => m.AccessesPerS), "accesses/s"))]),
        ];
        PlotPoint[] all = [.. series.SelectMany(s => s.Points)];
        return all.Length == 0 ? null : new Plot(
            "Random walk: throughput by number of threads",
            PlotAxis.Names("threads of the program", [.. rows.Select(row => Text(row.Workload.Threads))]),
            PlotAxis.Linear("accesses/s", all.Max(p => p.High)),
            series);
    }

    private static PlotPoint Touch(SuiteView view, SuiteRow row, string system, double percent) =>
        Points(system, string.Create(CultureInfo.InvariantCulture, $"p{percent:0.##}"), percent, view.Spread(row, system, m => m.Touch(percent)), "µs").Single();

    /// <summary>One, or none without measurements.</summary>
    private static IEnumerable<PlotPoint> Points(string system, string what, double x, Spread? spread, string unit) => spread is { } s
        ? [new PlotPoint(x, s.Median, s.Min, s.Max, $"{system}, {what}: {Number(s.Median)} {unit} ({Number(s.Min)} to {Number(s.Max)})")]
        : [];

    private static string Number(double value) => Figure.Significant(value);

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
