using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Advise;

/// <summary>Everything that was found out about a program.</summary>
/// <param name="PeakBytes">Its anonymous memory at its peak, without heca: what `--local` is a bound for. Where children are followed, of its largest process.</param>
/// <param name="Alone">Without heca; the first is not timed, but its output is compared.</param>
/// <param name="Points">In the order in which they were measured.</param>
internal sealed record Advice(AdviceSettings Settings, AdviceSearch Search, long PeakBytes, IReadOnlyList<AdviceRun> Alone, IReadOnlyList<AdvicePoint> Points)
{
    public Spread AloneTime => TimeOf(Alone);

    public IEnumerable<AdvicePoint> BySize => Points.OrderByDescending(point => point.Budget.Bytes);

    public AdvicePoint? Smallest => Search.Smallest(Points);

    /// <summary>True: all runs that ended as they should wrote the same.</summary>
    public bool OutputsAgree => OutputsOfAlone == 1 && Points.SelectMany(point => point.Runs).Where(run => run.Outcome == AdviceOutcome.Done).All(run => run.OutputSha256 == Alone[0].OutputSha256);

    /// <summary>What is to be said of its output, in one line; null where all runs wrote the same.</summary>
    public string? OutputNote => OutputsAgree ? null
        : OutputsOfAlone > 1 ? $"{Settings.Name} writes something else in each run, without heca too: its output was not compared"
        : $"{Settings.Name} writes something else under heca than without: is there a time in it, or an address?";

    /// <summary>The first run that ended otherwise than without heca, in one line; null where there is none.</summary>
    public string? Failure => Points.FirstOrDefault(point => point.Outcome == AdviceOutcome.Failed) is { } point
        ? $"with {point.Budget.Text} here {Settings.Name} ended with status {point.Runs[^1].ExitStatus}, not 0{(point.Runs[^1].Message is { } message ? $" ({message})" : "")}"
        : null;

    /// <summary>What the pager warned of first, in one line: a sponsor that is full, for example, leaves more here than the budget says. Null where all was well.</summary>
    public string? Warning => Points.FirstOrDefault(point => point.Runs.Any(run => run.Warning is not null)) is { } point
        ? $"heca run warned, with {point.Budget.Text} here: {point.Runs.First(run => run.Warning is not null).Warning}"
        : null;

    /// <summary>The command that its user wants; null where no budget is good enough.</summary>
    public string? Command => Smallest is { } smallest
        ? $"heca run --local {smallest.Budget.Text} {(Settings.IsEmbedded ? "--sponsor HOST:PORT " : "")}{string.Concat(Settings.RunOptions.Select(word => Quoted(word) + " "))}-- {ProgramText}"
        : null;

    public string ProgramText => string.Join(' ', ((string[])[Settings.Program, .. Settings.Arguments]).Select(Quoted));

    /// <summary>The answer, in one line.</summary>
    public string Answer => Smallest is { } smallest
        ? FormattableString.Invariant($"{smallest.Budget.Text} of local memory ({smallest.Budget.Share} of what it has) is enough for at most {Settings.Slowdown:0.00} times the time: it took {smallest.Slowdown:0.00}")
        : FormattableString.Invariant($"none of these is enough for at most {Settings.Slowdown:0.00} times the time: leave it all of its memory, or accept more (--slowdown)");

    private int OutputsOfAlone => Alone.Select(run => run.OutputSha256).Distinct().Count();

    /// <summary>Of runs without heca: the first has read the program's files from the disk.</summary>
    public static Spread TimeOf(IEnumerable<AdviceRun> alone) => Spread.Of(alone.Skip(1).Select(run => run.ElapsedS))!.Value;

    /// <summary>As a shell takes it.</summary>
    internal static string Quoted(string word) => word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || "-_./:,=+@%".Contains(c, StringComparison.Ordinal))
        ? word
        : $"'{word.Replace("'", "'\\''", StringComparison.Ordinal)}'";
}
