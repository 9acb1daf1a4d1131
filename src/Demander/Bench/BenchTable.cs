using System.Globalization;
using System.Text.Json;
using Hecatonchire.Cli;
using Hecatonchire.Units;
using Spectre.Console;

namespace Hecatonchire.Bench;

/// <summary>Results side by side for people: a row per figure, a column per benchmark.</summary>
internal static class BenchTable
{
    private static readonly (string Name, Func<BenchResult, string?> Figure)[] Rows =
    [
        ("system", r => r.System),
        ("size", r => Size(r.SizeBytes)),
        ("local", r => Size(r.LocalBytes)),
        ("threads", r => Count(r.Threads)),
        ("prefetch", r => OrNone(r.Prefetch)),
        ("transport", r => OrNone(r.Transport)),
        ("eviction", r => OrNone(r.Eviction)),
        ("elapsed", r => Seconds(r.ElapsedS)),
        ("in local memory", r => r.BaselineS is { } s ? Seconds(s) : null),
        ("overhead", r => r.OverheadPct is { } p ? string.Create(CultureInfo.InvariantCulture, $"{p:0.#} %") : null),
        ("accesses", r => Count(r.Accesses)),
        ("accesses/s", r => Count((long)r.AccessesPerS)),
        ("pages/s", r => Count((long)r.PagesPerS)),
        ("pages in", r => IsLocal(r) ? null : Count(r.PagesIn)),
        ("pages out", r => IsLocal(r) ? null : Count(r.PagesOut)),
        ("pages dropped clean", r => IsHeca(r) ? Count(r.PagesDropped) : null),
        ("prefetched", r => IsLocal(r) ? null : Count(r.PagesPrefetched)),
        ("prefetched and used", r => IsLocal(r) ? null : Count(r.PrefetchUsed)),
        ("prefetched in vain", r => IsHeca(r) ? Count(r.PrefetchWasted) : null),
        ("faults", r => Count(r.Faults)),
        ("fault p50 / p99 / max", r => Latencies(r.FaultUs)),
        ("touch p50 / p99 / max", r => Latencies(r.TouchUs)),
        ("floor p50 / p99 / max", r => Latencies(r.FloorUs)),
        ("floor pages/s", r => r.FloorPagesPerS is { } p ? Count((long)p) : null),
        ("by the floor", r => r.FloorRatio is { } f ? string.Create(CultureInfo.InvariantCulture, $"{f:0.00}") : null),
        ("resident peak", r => Size(r.ResidentPeakBytes)),
        ("on the swap device", r => r.DeviceBytes is { } d ? Size(d) : null),
        ("worker RSS peak", r => Size(r.WorkerRssPeakBytes)),
        ("CPU worker / pager / sponsor", r => string.Create(CultureInfo.InvariantCulture,
            $"{r.CpuS.Worker:0.00} / {r.CpuS.Pager:0.00} / {(r.CpuS.Sponsor is { } s ? s.ToString("0.00", CultureInfo.InvariantCulture) : "-")} s")),
        ("CPU of the whole host", r => r.CpuS.Host is { } h ? string.Create(CultureInfo.InvariantCulture, $"{h:0.00} s") : null),
        ("verified", r => r.Verified ? "yes" : "NO"),
    ];

    /// <summary>Rows that apply to none of the results are left out.</summary>
    public static void Write(TextWriter output, IReadOnlyList<BenchResult> results)
    {
        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumn("");
        foreach (BenchResult result in results)
        {
            table.AddColumn(new TableColumn(result.Benchmark).RightAligned());
        }

        foreach ((string name, Func<BenchResult, string?> figure) in Rows)
        {
            string?[] figures = [.. results.Select(figure)];
            if (figures.Any(f => f is not null))
            {
                table.AddRow([new Text(name), .. figures.Select(f => new Text(f ?? "-"))]);
            }
        }

        IAnsiConsole console = TextConsole.Create(output);
        console.Write(table);
        foreach (BenchResult result in results)
        {
            if (result.Breakdown is { } stages)
            {
                console.Write(BreakdownTable(stages));
            }
        }
    }

    private static Table BreakdownTable(FaultStage[] stages)
    {
        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumn("where a hard fault's time goes, us");
        foreach (string column in (string[])["p50", "mean", "mean of the slowest 1 %"])
        {
            table.AddColumn(new TableColumn(column).RightAligned());
        }

        foreach (FaultStage stage in stages)
        {
            table.AddRow(stage.Stage, Microseconds(stage.P50), Microseconds(stage.Mean), Microseconds(stage.SlowMean));
        }

        return table;
    }

    private static string Microseconds(double us) => us.ToString("0.0", CultureInfo.InvariantCulture);

    public static void WriteJson(TextWriter output, BenchResult result) =>
        output.WriteLine(JsonSerializer.Serialize(result, BenchJson.Report));

    private static bool IsHeca(BenchResult result) => result.System == MemorySystem.Heca.Name();

    private static bool IsLocal(BenchResult result) => result.System == MemorySystem.Local.Name();

    private static string? OrNone(string text) => text.Length == 0 ? null : text;

    private static string Size(long bytes) => new ByteSize(bytes).ToString();

    private static string Count(long number) => number.ToString("N0", CultureInfo.InvariantCulture);

    private static string Seconds(double seconds) => seconds.ToString("0.000 s", CultureInfo.InvariantCulture);

    private static string? Latencies(LatencySummary? us) =>
        us is null ? null : string.Create(CultureInfo.InvariantCulture, $"{us.P50:0.0} / {us.P99:0.0} / {us.Max:0} us");
}
