using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Advise;

/// <summary>How a run of the program under heca went.</summary>
internal enum AdviceOutcome
{
    /// <summary>It ended as it does without heca.</summary>
    Done,

    /// <summary>It was ended, because it had taken longer than anybody wants to know.</summary>
    Stopped,

    /// <summary>It ended with another status than without heca.</summary>
    Failed,
}

/// <summary>One run of the program; without heca the counters are 0.</summary>
internal sealed record AdviceRun
{
    public required AdviceOutcome Outcome { get; init; }

    /// <summary>128 + n for a signal n.</summary>
    public required int ExitStatus { get; init; }

    /// <summary>Of the program alone, without the start of the pager.</summary>
    public required double ElapsedS { get; init; }

    /// <summary>Of its standard output, in hexadecimal digits.</summary>
    public required string OutputSha256 { get; init; }

    /// <summary>The last line on standard error of a run that did not end well.</summary>
    public string? Message { get; init; }

    /// <summary>What the pager warned of.</summary>
    public string? Warning { get; init; }

    public long Faults { get; init; }

    /// <summary>Faults that needed a sponsor.</summary>
    public long HardFaults { get; init; }

    public long PagesIn { get; init; }

    public long PagesOut { get; init; }

    /// <summary>Of captured memory: more than the budget where the program had grown beyond it before it was captured.</summary>
    public long ResidentPeakBytes { get; init; }
}

/// <summary>All runs with one budget.</summary>
/// <param name="Budget">What may be here.</param>
/// <param name="AloneS">The median of the runs without heca, seconds.</param>
/// <param name="Runs">At least one. What comes after one that did not end well is not tried.</param>
internal sealed record AdvicePoint(AdviceBudget Budget, double AloneS, IReadOnlyList<AdviceRun> Runs)
{
    /// <summary>True: found by halving between two others.</summary>
    public bool IsBetween { get; init; }

    public AdviceOutcome Outcome => Runs.Max(run => run.Outcome);

    /// <summary>Of the runs that ended as they should; null without any.</summary>
    public Spread? Time => Spread.Of(Runs.Where(run => run.Outcome == AdviceOutcome.Done).Select(run => run.ElapsedS));

    /// <summary>The median by that without heca. To hundredths, as it is shown and compared: no measurement is finer. Null where no run ended as it should.</summary>
    public double? Slowdown => Time is { } time ? Hundredths(time.Median / AloneS) : null;

    public double? SlowdownMin => Time is { } time ? Hundredths(time.Min / AloneS) : null;

    public double? SlowdownMax => Time is { } time ? Hundredths(time.Max / AloneS) : null;

    public long PagesIn => Median(run => run.PagesIn);

    public long PagesOut => Median(run => run.PagesOut);

    /// <summary>True where every run ended as it should, and their median took at most <paramref name="slowdown"/> times the time.</summary>
    public bool Meets(double slowdown) => Outcome == AdviceOutcome.Done && Slowdown <= slowdown;

    private long Median(Func<AdviceRun, long> of) => (long)(Spread.Of(Runs.Select(run => (double)of(run)))?.Median ?? 0);

    private static double Hundredths(double value) => Math.Round(value, 2, MidpointRounding.AwayFromZero);
}
