using System.Globalization;
using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Report;

/// <summary>The tables of a suite's report: a line per piece of work, a column per system.</summary>
internal static class SuiteTables
{
    private const double MicrosecondsPerSecond = 1e6;

    /// <summary>What compares systems; the other rows vary one of them.</summary>
    private static readonly SuiteWork[] s_main = [SuiteWork.Fault, SuiteWork.Scan, SuiteWork.RandomWalk, SuiteWork.Zipf, SuiteWork.Quicksort];

    /// <summary>Program, pager, sponsor, all of the host.</summary>
    private static readonly Func<CpuSeconds, double?>[] s_sides = [cpu => cpu.Worker, cpu => cpu.Pager, cpu => cpu.Sponsor, cpu => cpu.Host];

    private readonly record struct Line(string Title, Func<string, string> Cell);

    /// <summary>Medians alone, quicksort by local memory: short enough for a README.</summary>
    public static ReportTable Summary(SuiteView view) => PerSystem(
        view,
        "Medians. Quicksort: times the time in local memory",
        from row in view.RowsOf(s_main)
        from figure in Figure.OfKind(row.Workload.Kind)
        select row.Work == SuiteWork.Quicksort
            ? new Line($"{row.Title} (× local)", system => Text(view.Slowdown(row, system), spread: false) ?? view.Text(row, system, figure, spread: false))
            : new Line(figure.TitleOf(row), system => view.Text(row, system, figure, spread: false)));

    /// <summary>Everything that was measured of some work, with the spread of its runs.</summary>
    public static ReportTable Figures(SuiteView view, IEnumerable<SuiteRow> rows) => PerSystem(
        view,
        "Median (least to greatest)",
        from row in rows
        from figure in Figure.OfKind(row.Workload.Kind)
        select new Line(figure.TitleOf(row), system => view.Text(row, system, figure, spread: true)));

    public static ReportTable AllFigures(SuiteView view) => Figures(view, view.RowsOf(s_main));

    /// <summary>Every line as time by that of one system; lines without it are left out.</summary>
    public static ReportTable TimesBy(SuiteView view, string reference) => PerSystem(
        view,
        $"Times the time of {reference}",
        from row in view.RowsOf(s_main)
        where row.Systems.Contains(reference)
        from figure in Figure.OfKind(row.Workload.Kind)
        select new Line(
            figure.Name.Length > 0 ? $"{row.Title}, {figure.Name}" : row.Title,
            system => view.TimeRatio(row, system, reference, figure) is { } ratio ? Figure.Significant(ratio) : SuiteView.None));

    public static ReportTable Slowdowns(SuiteView view) => PerSystem(
        view,
        "Times the time in local memory, median (least to greatest)",
        view.RowsOf(SuiteWork.Quicksort).Select(row => new Line(row.Title, system => Text(view.Slowdown(row, system), spread: true) ?? SuiteView.None)));

    /// <summary>The touches of the fault benchmark, percentage by percentage.</summary>
    public static ReportTable Percentiles(SuiteView view) => PerSystem(
        view,
        "Microseconds, median (least to greatest)",
        from row in view.RowsOf(SuiteWork.Fault)
        from percent in row.Systems.SelectMany(system => view.TouchPercents(row, system)).Distinct().Order()
        select new Line(
            string.Create(CultureInfo.InvariantCulture, $"p{percent:0.##}"),
            system => view.Text(row, system, new Figure("", "µs", true, m => m.Touch(percent)), spread: true)));

    public static ReportTable HostCpu(SuiteView view) => PerSystem(
        view,
        "Processor time of all CPUs of the host, µs per page that came in",
        view.RowsOf(s_main).Select(row => new Line(row.Title, system => CpuPerPage(view, row, system, cpu => cpu.Host))));

    /// <summary>With kernel swap it is the program that faults, reclaims and compresses; with a pager it only waits.</summary>
    public static ReportTable ProgramCpu(SuiteView view) => PerSystem(
        view,
        "Processor time of the program itself, µs per page that came in",
        view.RowsOf(s_main).Select(row => new Line(row.Title, system => CpuPerPage(view, row, system, cpu => cpu.Worker))));

    /// <summary>The program's own is all that swap has beside threads of the kernel; heca's is spread over three processes.</summary>
    public static ReportTable HecaCpu(SuiteView view) => new(
        "heca: processor time by side, µs per page that came in",
        ["", "program", "pager", "sponsor", "whole host"],
        [
            .. from row in view.RowsOf([.. s_main, SuiteWork.Threads]).Where(row => row.Systems.Contains(SuiteSystems.Heca)).DistinctBy(row => row.Title)
               select (IReadOnlyList<string>)
               [
                   row.Title, .. s_sides.Select(side => CpuPerPage(view, row, SuiteSystems.Heca, side)),
               ],
        ]);

    public static ReportTable Devices(SuiteView view) => PerSystem(
        view,
        "On the swap device at the end, MiB",
        view.RowsOf(s_main).Select(row => new Line(
            row.Title, system => view.Median(row, system, m => m.DeviceBytes / (1 << 20)) is { } mib ? Figure.Significant(mib) : SuiteView.None)));

    private static string CpuPerPage(SuiteView view, SuiteRow row, string system, Func<CpuSeconds, double?> side) =>
        view.Median(row, system, m => m.PagesIn > 0 && m.Cpu is { } cpu ? side(cpu) * MicrosecondsPerSecond / m.PagesIn : null) is { } perPage
            ? Figure.Significant(perPage)
            : SuiteView.None;

    private static string? Text(Spread? slowdown, bool spread) => slowdown is { } s
        ? spread && s.Count > 1 ? $"{Figure.Significant(s.Median)} ({Figure.Significant(s.Min)} to {Figure.Significant(s.Max)})" : Figure.Significant(s.Median)
        : null;

    /// <summary>Systems that no line says anything of are left out.</summary>
    private static ReportTable PerSystem(SuiteView view, string caption, IEnumerable<Line> lines)
    {
        Line[] all = [.. lines];
        string[] systems = [.. view.Systems.Where(system => all.Any(line => line.Cell(system) != SuiteView.None))];
        return new ReportTable(caption, ["", .. systems], [.. all.Select(line => (IReadOnlyList<string>)[line.Title, .. systems.Select(line.Cell)])]);
    }
}
