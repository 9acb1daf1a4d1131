using System.Globalization;
using System.Text.Json;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Host;

namespace Hecatonchire.Tests.Bench.Suite;

/// <summary>Results as a suite would have them, with figures that a test knows.</summary>
internal static class SuiteSamples
{
    public static readonly HostMachine Machine = new("Some CPU", 2, 8L << 30, "QEMU", "6.18.0", ".NET 10.0.0");

    public static SuiteResults Empty(SuiteSettings settings) => new()
    {
        Command = "heca bench suite",
        Started = new DateTimeOffset(2025, 1, 2, 3, 4, 5, TimeSpan.Zero),
        Build = "0.1.0+0123456789ab",
        Machine = Machine,
        Settings = settings,
    };

    /// <summary>Every cell in every round; <paramref name="factor"/> times what <see cref="Output"/> says of the system.</summary>
    public static SuiteResults Complete(SuiteSettings settings, Func<SuiteCell, int, double>? factor = null) => Empty(settings) with
    {
        Complete = true,
        Amounts = SuiteMatrix.Rows(settings).Where(row => row.HasAmount).DistinctBy(row => row.AmountName).ToDictionary(row => row.AmountName, _ => 1000L),
        Runs =
        [
            .. from round in Enumerable.Range(1, settings.Runs)
               from cell in SuiteMatrix.Cells(SuiteMatrix.Rows(settings))
               select Run(cell, round, SuiteOutcome.Done, Output(cell, factor?.Invoke(cell, round) ?? 1)),
        ],
    };

    public static SuiteRun Run(SuiteCell cell, int round, SuiteOutcome outcome, string? output) => new()
    {
        Cell = cell.Id,
        Round = round,
        Command = $"heca bench {cell.Id}",
        Seconds = 1.5,
        Outcome = outcome,
        Message = outcome == SuiteOutcome.Done ? null : "heca: it went wrong",
        Output = output is null ? null : JsonSerializer.Deserialize<JsonElement>(output),
    };

    /// <summary>Times: local 1, floor 10, heca 20, the others 40; rates the other way round.</summary>
    public static string Output(SuiteCell cell, double factor)
    {
        double time = factor * (cell.System == SuiteSystems.Local ? 1 : cell.System == SuiteSystems.Floor ? 10 : cell.System == SuiteSystems.Heca ? 20 : 40);
        string rate = Text(1e6 / time);
        return (cell.System, cell.Row.Workload.Kind) switch
        {
            (SuiteSystems.Floor, WorkloadKind.Fault) => $$"""{"mode":"fault","p50_us":{{Text(time)}},"p90_us":{{Text(1.5 * time)}},"p99_us":{{Text(2 * time)}},"verified":true}""",
            (SuiteSystems.Floor, _) => $$"""{"mode":"scan","pages_per_s":{{rate}},"verified":true}""",
            _ => $$$"""
                {"elapsed_s":{{{Text(time)}}},"accesses_per_s":{{{rate}}},"pages_per_s":{{{rate}}},"pages_in":1000000,"verified":true,
                "touch_percentiles":[{"percent":50,"us":{{{Text(time)}}}},{"percent":99,"us":{{{Text(3 * time)}}}},{"percent":99.9,"us":{{{Text(9 * time)}}}}],
                "cpu_s":{"worker":1,"pager":2,"sponsor":3,"host":7}}
                """,
        };
    }

    private static string Text(double number) => number.ToString("R", CultureInfo.InvariantCulture);
}
