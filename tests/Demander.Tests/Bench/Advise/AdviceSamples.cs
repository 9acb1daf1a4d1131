using Hecatonchire.Bench.Advise;
using Hecatonchire.Transport;

namespace Hecatonchire.Tests.Bench.Advise;

/// <summary>Runs as they might have been.</summary>
internal static class AdviceSamples
{
    public const long MiB = 1 << 20;

    public static AdviceSettings Settings { get; } = new()
    {
        Program = "/usr/bin/job",
        Arguments = ["--all", "it's <b>"],
        Input = "/dev/null",
        Percents = [100, 75, 50, 33, 25, 20],
        Slowdown = 1.1,
        SlowdownMax = 10,
        Runs = 3,
        Halvings = 0,
        SameOutput = false,
        FollowChildren = false,
        IsEmbedded = true,
        EmbeddedBytes = null,
        Transport = TransportPreference.Auto,
        RunOptions = ["--prefetch", "window"],
    };

    public static AdviceRun Run(double seconds, AdviceOutcome outcome = AdviceOutcome.Done, string output = "aa", long pagesOut = 0) => new()
    {
        Outcome = outcome,
        ExitStatus = outcome switch { AdviceOutcome.Done => 0, AdviceOutcome.Stopped => 143, _ => 135 },
        ElapsedS = seconds,
        OutputSha256 = output,
        Message = outcome == AdviceOutcome.Failed ? "it went wrong" : null,
        PagesOut = pagesOut,
        PagesIn = 2 * pagesOut,
        ResidentPeakBytes = MiB,
    };

    /// <summary>Alone it takes 2 s. Runs of as many times that.</summary>
    public static AdvicePoint Point(double percent, params double[] slowdowns) => Point(percent, [.. slowdowns.Select(slowdown => Run(2 * slowdown, pagesOut: (long)(1000 * slowdown)))]);

    /// <summary>Of a program with 100 MiB.</summary>
    public static AdvicePoint Point(double percent, AdviceRun[] runs) => new(AdviceBudgets.Of(100 * MiB, [percent])[0], 2, runs);

    public static Advice Make(AdviceSettings settings, AdviceRun[] alone, params AdvicePoint[] points) =>
        new(settings, new AdviceSearch(100 * MiB, AdviceBudgets.Of(100 * MiB, settings.Percents), settings.Slowdown, settings.SlowdownMax, settings.Halvings), 100 * MiB, alone, points);

    public static AdviceRun[] Alone { get; } = [Run(5), Run(2.1), Run(2), Run(1.9)];
}
