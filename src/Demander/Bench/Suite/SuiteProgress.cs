using System.Diagnostics;
using System.Globalization;

namespace Hecatonchire.Bench.Suite;

/// <summary>Which run of how many, what time has passed, and about how much is left.</summary>
internal sealed class SuiteProgress(ProgressDisplay display)
{
    private readonly long _start = Stopwatch.GetTimestamp();
    private string _number = "";
    private string _what = "";
    private double _leftSeconds;
    private long _since;

    /// <summary>A run begins.</summary>
    /// <param name="number">From 1.</param>
    /// <param name="count">Of all runs.</param>
    /// <param name="leftSeconds">Of this run and all that follow.</param>
    public void Begin(int number, int count, int round, SuiteCell cell, double leftSeconds)
    {
        _number = string.Create(CultureInfo.InvariantCulture, $"[{number}/{count}]");
        _what = string.Create(CultureInfo.InvariantCulture, $"round {round}: {cell.Row.Title}, {cell.System}");
        (_leftSeconds, _since) = (leftSeconds, Stopwatch.GetTimestamp());
        Show("");
    }

    /// <summary>A run that only tells how much there is to do.</summary>
    public void Trial(SuiteRow row, string system)
    {
        (_number, _what) = ("", $"how fast is {system} at: {row.Title}");
        Show("");
    }

    public void Phase(string phase, int percent) => Show(string.Create(CultureInfo.InvariantCulture, $": {phase} {percent} %"));

    /// <summary>What did not end well is worth a line that stays.</summary>
    public void Failed(SuiteRun run) => display.Note($"{run.Cell}, round {run.Round}: {SuiteNames.Of(run.Outcome)}{(run.Message is null ? "" : $": {run.Message}")}");

    public void Clear() => display.Clear();

    /// <summary>As 4:05 or 1:04:05.</summary>
    internal static string Time(double seconds) =>
        TimeSpan.FromSeconds(Math.Round(seconds)).ToString(seconds >= 3600 ? @"h\:mm\:ss" : @"m\:ss", CultureInfo.InvariantCulture);

    /// <summary>What a narrow terminal cuts off comes last.</summary>
    private void Show(string phase)
    {
        double left = Math.Max(0, _leftSeconds - Stopwatch.GetElapsedTime(_since).TotalSeconds);
        string times = _number.Length == 0 ? "" : $"{_number} {Time(Stopwatch.GetElapsedTime(_start).TotalSeconds)}, about {Time(left)} left, ";
        display.ShowLine(_number + _what, $"{times}{_what}{phase}");
    }
}
