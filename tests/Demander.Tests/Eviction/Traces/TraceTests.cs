using System.Globalization;
using System.Text;
using Hecatonchire.Eviction;
using Hecatonchire.Prefetch;
using Xunit;

namespace Hecatonchire.Tests.Eviction.Traces;

/// <summary>
/// What the policies do with known patterns of touches: the table of the decision about the default (docs/adr), which this prints, and
/// what has to hold in it.
/// </summary>
public sealed class TraceTests(ITestOutputHelper output)
{
    private const int Pages = 1 << 16;

    private static readonly Trace[] Traces =
    [
        Trace.Uniform(Pages, 1_000_000, seed: 1),
        Trace.Zipf(Pages, 1_500_000, seed: 1),
        Trace.Scan(Pages, passes: 8),
        Trace.ScanAndZipf(Pages, 1_500_000, seed: 1),
        Trace.Quicksort(Pages, seed: 1),
        Trace.ZipfThenQuicksort(Pages, 1_500_000, seed: 1),
    ];

    [Theory]
    [InlineData(4)]
    [InlineData(2)]
    public void The_policies_side_by_side(int denominator)
    {
        int resident = Pages / denominator;
        EvictionKind[] kinds = Enum.GetValues<EvictionKind>();
        double[] optimal = [.. Traces.Select(t => Percent(t, References.Optimal(t, resident)))];
        double[] lru = [.. Traces.Select(t => Percent(t, References.Lru(t, resident)))];
        double[][] alone = [.. kinds.Select(kind => Traces.Select(t => Percent(t, PagingModel.Run(t, kind, new NoPrefetch(), resident).Misses)).ToArray())];
        var withTrend = kinds.Select(kind => Traces.Select(t => PagingModel.Run(t, kind, new TrendPrefetch(), resident)).ToArray()).ToArray();
        double[][] fetches = [.. withTrend.Select(runs => runs.Select((run, i) => Percent(Traces[i], run.Fetches)).ToArray())];
        double[][] stalls = [.. withTrend.Select(runs => runs.Select((run, i) => Percent(Traces[i], run.Misses)).ToArray())];

        var table = new StringBuilder();
        Row(table, $"1:{denominator}", [.. Traces.Select(t => t.Name)]);
        Row(table, "---", [.. Traces.Select(_ => "---:")]);
        Row(table, "OPT", Texts(optimal));
        Row(table, "LRU", Texts(lru));
        foreach (EvictionKind kind in kinds)
        {
            Row(table, kind.Name(), Texts(alone[(int)kind]));
        }

        foreach (EvictionKind kind in kinds)
        {
            Row(table, $"{kind.Name()}, trend", [.. Texts(fetches[(int)kind]).Zip(Texts(stalls[(int)kind]), (fetched, missed) => $"{fetched} / {missed}")]);
        }

        output.WriteLine(table.ToString());
        for (int trace = 0; trace < Traces.Length; trace++)
        {
            // Staging takes 64 pages from the policies and recalls from it count as no miss, so that they may come close but not below.
            Assert.All(kinds, kind => Assert.InRange(alone[(int)kind][trace], optimal[trace], 100));
            Assert.InRange(lru[trace], optimal[trace], 100);

            // Without streams to know of.
            Assert.Equal(alone[(int)EvictionKind.Fifo][trace], alone[(int)EvictionKind.BehindStream][trace]);
        }

        (int uniform, int zipf, int scan, int mixed, int quicksort) = (0, 1, 2, 3, 4);
        double[] Of(double[][] figures, int trace) => [.. figures.Select(row => row[trace])];

        // Nobody can know anything about uniform touches, and nobody may pay for trying.
        Assert.All(Of(alone, uniform), missed => Assert.InRange(missed, 99.0 * (denominator - 1) / denominator, 101.0 * (denominator - 1) / denominator));
        Assert.All(Of(fetches, uniform), fetched => Assert.InRange(fetched, 0, 1.02 * fetches[0][uniform]));

        // Refaults tell what is hot as well as touches tell LRU.
        Assert.All([EvictionKind.S3Fifo, EvictionKind.Sieve], kind => Assert.InRange(alone[(int)kind][zipf], 0, 0.9 * alone[0][zipf]));
        Assert.All([EvictionKind.S3Fifo, EvictionKind.Sieve], kind => Assert.InRange(alone[(int)kind][zipf], 0, 1.05 * lru[zipf]));

        // Filling in order and going over it again is the worst there is for all that evict the oldest; with streams nobody waits.
        Assert.Equal(100, lru[scan]);
        Assert.All(Of(alone, scan), missed => Assert.Equal(100, missed, 0.5));
        Assert.All(Of(stalls, scan), missed => Assert.InRange(missed, 0, 0.1));

        // A scan beside something else is to leave that alone.
        Assert.All(Of(stalls, mixed)[1..], missed => Assert.InRange(missed, 0, 0.6 * stalls[0][mixed]));
        Assert.All(Of(fetches, mixed)[1..], fetched => Assert.InRange(fetched, 0, 0.92 * fetches[0][mixed]));
        Assert.All(Of(fetches, quicksort), fetched => Assert.InRange(fetched, 0, 1.05 * fetches[0][quicksort]));
    }

    private static double Percent(Trace trace, long count) => 100.0 * count / (trace.Count - trace.WarmUp);

    private static string[] Texts(double[] percents) => [.. percents.Select(p => p.ToString("0.0", CultureInfo.InvariantCulture))];

    private static void Row(StringBuilder table, string name, string[] cells) => table.AppendLine(CultureInfo.InvariantCulture, $"| {name} | {string.Join(" | ", cells)} |");
}
