using System.Globalization;
using Hecatonchire.Status;
using Hecatonchire.Units;
using Spectre.Console;

namespace Hecatonchire.Cli.Status;

/// <summary>Running programs as lines, with rates where there is an earlier look.</summary>
internal static class StatusTable
{
    private static readonly string[] Columns = ["program", "pid", "here", "of", "remote", "faults", "p50 us", "p99 us", "in", "out", "sponsor"];
    private static readonly string[] RateColumns = ["program", "pid", "here", "of", "remote", "faults/s", "p50 us", "p99 us", "in/s", "out/s", "sponsor"];

    public static void WritePlain(TextWriter output, IReadOnlyList<StatusReport> reports, IReadOnlyDictionary<int, StatusReport>? before = null, double seconds = 0)
    {
        PlainTable.Write(output, before is null ? Columns : RateColumns, reports.Select(report => Cells(report, before, seconds)), 10);
        foreach (StatusReport report in reports.Where(report => report.Failure is not null))
        {
            output.WriteLine($"{report.Name} ({report.Program}): {report.Failure}");
        }
    }

    public static Table Create(IReadOnlyList<StatusReport> reports, IReadOnlyDictionary<int, StatusReport>? before = null, double seconds = 0)
    {
        var table = new Table { Border = TableBorder.Rounded };
        foreach ((string column, int i) in (before is null ? Columns : RateColumns).Select((column, i) => (column, i)))
        {
            var header = new TableColumn(column) { NoWrap = true };
            table.AddColumn(i is 0 or 10 ? header : header.RightAligned());
        }

        foreach (StatusReport report in reports)
        {
            table.AddRow(Cells(report, before, seconds).Select(cell => new Text(cell)));
        }

        return table;
    }

    private static string[] Cells(StatusReport now, IReadOnlyDictionary<int, StatusReport>? before, double seconds)
    {
        StatusReport? earlier = before?.GetValueOrDefault(now.Pager);
        string Amount(Func<StatusReport, long> value) => before is null ? Number(value(now))
            : earlier is null || seconds <= 0 ? "-" : Number((long)Math.Round((value(now) - value(earlier)) / seconds));
        return
        [
            now.Name, now.Program.ToString(CultureInfo.InvariantCulture), new ByteSize(now.ResidentBytes).ToString(), new ByteSize(now.BudgetBytes).ToString(),
            new ByteSize(now.RemoteBytes).ToString(), Amount(report => report.Faults), Us(now.FaultLatencyUs[0]), Us(now.FaultLatencyUs[2]),
            Amount(report => report.PagesIn), Amount(report => report.PagesOut), $"{now.Sponsor} {now.Transport}",
        ];
    }

    private static string Number(long value) => value.ToString("N0", CultureInfo.InvariantCulture);

    private static string Us(double value) => value.ToString("0.0", CultureInfo.InvariantCulture);
}
