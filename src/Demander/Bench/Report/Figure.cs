using System.Globalization;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Bench.Workloads;

namespace Hecatonchire.Bench.Report;

/// <summary>One thing that is measured of a row, and how it is written.</summary>
/// <param name="Name">Behind the row's title where a row has several; else empty.</param>
/// <param name="Unit">For people.</param>
/// <param name="IsTime">Less is better; otherwise it is a rate.</param>
/// <param name="Of">Null where a run does not have it.</param>
internal sealed record Figure(string Name, string Unit, bool IsTime, Func<Measurement, double?> Of)
{
    private static readonly Figure[] s_fault =
    [
        new("p50", "µs", true, m => m.Touch(50)),
        new("p99", "µs", true, m => m.Touch(99)),
        new("p99.9", "µs", true, m => m.Touch(99.9)),
    ];

    private static readonly Figure[] s_scan = [new("", "pages/s", false, m => m.PagesPerS)];

    private static readonly Figure[] s_sort = [new("", "s", true, m => m.ElapsedS)];

    private static readonly Figure[] s_walk = [new("", "accesses/s", false, m => m.AccessesPerS)];

    public static IReadOnlyList<Figure> OfKind(WorkloadKind kind) => kind switch
    {
        WorkloadKind.Fault => s_fault,
        WorkloadKind.Scan => s_scan,
        WorkloadKind.Quicksort => s_sort,
        _ => s_walk,
    };

    /// <summary>The row's title with what this is of it and its unit.</summary>
    public string TitleOf(SuiteRow row) => $"{row.Title}{(Name.Length > 0 ? $", {Name}" : "")} ({Unit})";

    /// <summary>How many times the time of <paramref name="reference"/> it takes.</summary>
    public double TimeRatio(double value, double reference) => IsTime ? value / reference : reference / value;

    /// <summary>Rates as whole numbers while they are short, times with the digits that mean something.</summary>
    public string Text(double value) => IsTime ? Significant(value)
        : value >= 10e6 ? (value / 1e6).ToString("0.0", CultureInfo.InvariantCulture) + " M"
        : value.ToString("N0", CultureInfo.InvariantCulture);

    /// <summary>Three digits, and no more behind the point than two: 0.12, 1.23, 12.3, 1,234. Below 0.1 as many as it takes.</summary>
    public static string Significant(double value)
    {
        string format = Math.Abs(value) switch
        {
            >= 100 => "N0",
            >= 10 => "0.0",
            >= 0.1 or 0 => "0.00",
            _ => "0.0###",
        };
        return value.ToString(format, CultureInfo.InvariantCulture);
    }
}
