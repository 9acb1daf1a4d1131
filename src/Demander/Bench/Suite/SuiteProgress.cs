using System.Diagnostics;
using System.Globalization;

namespace Hecatonchire.Bench.Suite;

/// <summary>Which run of how many, what time has passed, and about how much is left.</summary>
internal sealed class SuiteProgress(ProgressDisplay display)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private string _at = "";
    private double _leftSeconds;
    private long _since;

    /// <summary>A run begins.</summary>
    /// <param name="number">From 1.</param>
    /// <param name="count">Of all runs.</param>
    /// <param name="leftSeconds">Of this run and all that follow.</param>
    public void Begin(int number, int count, int round, SuiteCell cell, double leftSeconds)
    {
        _at = string.Create(CultureInfo.InvariantCulture, $"[{number}/{count}] round {round}: {cell.Row.Title}, {cell.System}");
        (_leftSeconds, _since) = (leftSeconds, Stopwatch.GetTimestamp());
        display.ShowLine(_at, _at + Times());
    }

    public void Trial(SuiteRow row, string system)
    {
        _at = $"how fast is {system} at: {row.Title}";
        display.ShowLine(_at, _at);
    }

    public void Phase(string phase, int percent) =>
        display.ShowLine(_at, string.Create(CultureInfo.InvariantCulture, $"{_at}: {phase} {percent} %{(_leftSeconds > 0 ? Times() : "")}"));

    /// <summary>What did not end well is worth a line that stays.</summary>
    public void Failed(SuiteRun run) => display.Note($"{run.Cell}, round {run.Round}: {SuiteNames.Of(run.Outcome)}{(run.Message is null ? "" : $": {run.Message}")}");

    public void Clear() => display.Clear();

    /// <summary>As 4:05 or 1:04:05.</summary>
    internal static string Time(double seconds) =>
        TimeSpan.FromSeconds(Math.Round(seconds)).ToString(seconds >= 3600 ? @"h\:mm\:ss" : @"m\:ss", CultureInfo.InvariantCulture);

    private string Times()
    {
        double left = Math.Max(0, _leftSeconds - Stopwatch.GetElapsedTime(_since).TotalSeconds);
        return $"; {Time(Stopwatch.GetElapsedTime(_start).TotalSeconds)}, about {Time(left)} left";
    }
}
