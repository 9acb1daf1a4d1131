using System.Text.Json;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Cli;
using Hecatonchire.Interop;

namespace Hecatonchire.Bench.Suite;

/// <summary>
/// Runs what a suite still lacks, round by round: in each round every system has its turn at every row, so that a machine that
/// gets slower with time does so for all alike. Results are stored after every run.
/// </summary>
internal sealed class SuiteRunner
{
    /// <summary>A run with an amount of work that was chosen for seconds hangs, or its device is a thousand times slower than tried.</summary>
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(10);

    /// <summary>Quicksort takes what it takes, but a night should not end with it.</summary>
    private static readonly TimeSpan s_sortLimit = TimeSpan.FromHours(1);

    private static readonly int[] s_interruptions = [128 + 1, 128 + Libc.SIGINT, 128 + Libc.SIGTERM];

    private readonly SuiteStore _store;
    private readonly SuiteProgress _progress;
    private readonly CancellationToken _cancellation;
    private readonly SuiteEstimate _estimate;
    private readonly IReadOnlyList<SuiteRow> _rows;

    private SuiteRunner(SuiteStore store, SuiteProgress progress, CancellationToken cancellation)
    {
        _store = store;
        _progress = progress;
        _cancellation = cancellation;
        _estimate = new SuiteEstimate(Settings);
        _rows = SuiteMatrix.Rows(Settings);
    }

    private SuiteSettings Settings => _store.Results.Settings;

    /// <summary>Throws <see cref="OperationCanceledException"/> when interrupted; what was measured until then is stored.</summary>
    public static SuiteResults Run(SuiteStore store, SuiteProgress progress, CancellationToken cancellation)
    {
        new SuiteRunner(store, progress, cancellation).Run();
        return store.Results;
    }

    private void Run()
    {
        ChooseAmounts();
        IReadOnlyList<SuiteCell> cells = SuiteMatrix.Cells(_rows);
        (int Round, SuiteCell Cell)[] all = [.. from round in Enumerable.Range(1, Settings.Runs) from cell in cells select (round, cell)];
        for (int i = 0; i < all.Length; i++)
        {
            (int round, SuiteCell cell) = all[i];
            if (_store.Results.RunsOf(cell).FirstOrDefault(run => run.Round == round) is { } earlier)
            {
                _estimate.Saw(cell, earlier.Seconds);
                continue;
            }

            _progress.Begin(i + 1, all.Length, round, cell, all[i..].Sum(rest => _estimate.Of(rest.Cell)));
            SuiteRun run = RunCell(cell, round);
            _store.Add(run);
            _estimate.Saw(cell, run.Seconds);
            if (run.Outcome != SuiteOutcome.Done)
            {
                _progress.Failed(run);
            }
        }

        _store.SetComplete();
        _progress.Clear();
    }

    private void ChooseAmounts()
    {
        HashSet<string> unusable = [];
        foreach (SuiteRow row in _rows.Where(row => row.HasAmount && !_store.Results.Amounts.ContainsKey(row.AmountName)).DistinctBy(row => row.AmountName))
        {
            _store.SetAmount(row.AmountName, SuiteAmounts.Fixed(row, Settings.Scale) ?? SuiteAmounts.For(row, Try(row, unusable), Settings.CellSeconds));
        }
    }

    /// <summary>Per second, of the row's slowest system that works; null when none does.</summary>
    private double? Try(SuiteRow row, HashSet<string> unusable)
    {
        while (SuiteAmounts.Trial(row, Settings, unusable) is { } trial)
        {
            _progress.Trial(row, trial.Cell.System);
            (SuiteOutcome outcome, JsonElement? output, _) = Execute(trial.Cell, trial.Cell.Arguments(trial.Settings, trial.Amount)).Result;
            if (outcome == SuiteOutcome.Done && SuiteAmounts.PerSecond(output!.Value) is { } perSecond)
            {
                return perSecond;
            }

            unusable.Add(trial.Cell.System);
        }

        return null;
    }

    private SuiteRun RunCell(SuiteCell cell, int round)
    {
        string[] arguments = cell.Arguments(Settings, _store.Results.Amounts.GetValueOrDefault(cell.Row.AmountName));
        (CellEnd end, (SuiteOutcome outcome, JsonElement? output, string? message)) = Execute(cell, arguments);
        return new SuiteRun
        {
            Cell = cell.Id,
            Round = round,
            Command = $"{Path.GetFileName(ProgramOf(cell))} {string.Join(' ', arguments.Where(a => a != "--progress"))}",
            Seconds = Math.Round(end.Time.TotalSeconds, 2),
            Outcome = outcome,
            Message = message,
            Output = output,
        };
    }

    private (CellEnd End, (SuiteOutcome Outcome, JsonElement? Output, string? Message) Result) Execute(SuiteCell cell, string[] arguments)
    {
        TimeSpan limit = cell.Row.Workload.Kind == WorkloadKind.Quicksort ? s_sortLimit : s_limit;
        CellEnd end = CellProcess.Run(ProgramOf(cell), arguments, limit, _progress.Phase, _cancellation);

        // A ^C goes to the whole foreground group: the command may have ended by it before we have heard of ours.
        return !end.TimedOut && s_interruptions.Contains(end.Status) ? throw new OperationCanceledException() : (end, Judge(end));
    }

    private static (SuiteOutcome Outcome, JsonElement? Output, string? Message) Judge(CellEnd end)
    {
        JsonElement? output = Parse(end.Output);
        if (output is { } result)
        {
            return result.TryGetProperty("verified", out JsonElement verified) && verified.ValueKind == JsonValueKind.True && end.Status == ExitStatus.Done
                ? (SuiteOutcome.Done, output, null)
                : (SuiteOutcome.Unverified, output, end.Complaint);
        }

        const string prefix = "heca: ";
        string line = end.Complaint ?? $"ended with status {end.Status} and without a word";
        string message = line.StartsWith(prefix, StringComparison.Ordinal) ? line[prefix.Length..] : line;
        SuiteOutcome outcome = end.TimedOut ? SuiteOutcome.TimedOut
            : message.StartsWith(OomKilledException.Mark, StringComparison.Ordinal) ? SuiteOutcome.OomKilled
            : SuiteOutcome.Failed;
        return (outcome, null, message);
    }

    /// <summary>Null for what is no whole JSON object.</summary>
    private static JsonElement? Parse(string text)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            return document.RootElement.ValueKind == JsonValueKind.Object ? document.RootElement.Clone() : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string ProgramOf(SuiteCell cell) => cell.System == SuiteSystems.Floor ? FloorProcess.Program() : WorkerProcess.OwnProgram();
}
