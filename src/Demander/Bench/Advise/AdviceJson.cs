using System.Text.Json;
using Hecatonchire.Bench.Suite;
using Hecatonchire.Host;

namespace Hecatonchire.Bench.Advise;

/// <summary>What was found out, for scripts: one JSON object on one line.</summary>
internal static class AdviceJson
{
    private sealed record AloneJson(Spread TimeS, IReadOnlyList<RunJson> Runs);

    /// <param name="TimeS">Null where no run ended as it should.</param>
    private sealed record BudgetJson(long LocalBytes, double Percent, string Outcome, Spread? TimeS, double? Slowdown, bool IsEnough, long PagesOut, long PagesIn, IReadOnlyList<RunJson> Runs);

    private sealed record RunJson(
        string Outcome, int ExitStatus, double ElapsedS, string OutputSha256, string? Message, string? Warning, long Faults, long HardFaults, long PagesOut, long PagesIn, long ResidentPeakBytes);

    public static void Write(TextWriter output, Advice advice, DateTimeOffset started)
    {
        AdviceSettings settings = advice.Settings;
        AdvicePoint? smallest = advice.Smallest;
        output.WriteLine(JsonSerializer.Serialize(
            new
            {
                Benchmark = "advise",
                settings.Program,
                settings.Arguments,
                Started = started,
                Build = BuildIdentity.Read(),
                Machine = HostMachine.Read(new HostFiles()),
                advice.PeakBytes,
                settings.Slowdown,
                settings.SlowdownMax,
                SmallestLocalBytes = smallest?.Budget.Bytes,
                SmallestPercent = smallest?.Budget.Percent,
                SmallestSlowdown = smallest?.Slowdown,
                advice.Command,
                advice.OutputsAgree,
                StatusesAgree = advice.Failure is null,
                Alone = new AloneJson(advice.AloneTime, [.. advice.Alone.Select(Of)]),
                Budgets = advice.BySize.Select(point => Of(point, settings.Slowdown)),
            },
            BenchJson.Report));
    }

    private static BudgetJson Of(AdvicePoint point, double slowdown) => new(
        point.Budget.Bytes, point.Budget.Percent, Name(point.Outcome), point.Time, point.Slowdown, point.Meets(slowdown), point.PagesOut, point.PagesIn, [.. point.Runs.Select(Of)]);

    private static RunJson Of(AdviceRun run) => new(
        Name(run.Outcome), run.ExitStatus, run.ElapsedS, run.OutputSha256, run.Message, run.Warning, run.Faults, run.HardFaults, run.PagesOut, run.PagesIn, run.ResidentPeakBytes);

    private static string Name(AdviceOutcome outcome) => outcome switch
    {
        AdviceOutcome.Done => "done",
        AdviceOutcome.Stopped => "stopped",
        _ => "failed",
    };
}
