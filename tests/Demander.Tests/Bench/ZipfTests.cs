using Hecatonchire.Bench.Workloads;
using Xunit;

namespace Hecatonchire.Tests.Bench;

public sealed class ZipfTests
{
    [Theory]
    [InlineData(1024, 0.99)]
    [InlineData(5000, 0.99)]
    [InlineData(262_144, 0.99)]
    [InlineData(5000, 0.5)]
    [InlineData(2, 0.99)]
    [InlineData(3, 0.01)]
    public void Ranks_come_as_often_as_the_distribution_says(int pages, double theta)
    {
        const int draws = 1_000_000;
        var choice = new ZipfPages(pages, theta);
        var random = new PseudoRandom(42);
        int[] counts = new int[pages];
        for (int i = 0; i < draws; i++)
        {
            counts[choice.RankFor((random.Next() >> 11) / (double)(1L << 53))]++;
        }

        double[] weights = [.. Enumerable.Range(1, pages).Select(rank => Math.Pow(rank, -theta))];
        double zeta = weights.Sum();

        // The first two are exact; of the approximated rest the share of the first so many is what makes caches work or not.
        foreach (int ranks in new[] { 1, 2, pages / 10, pages / 4, pages / 2, pages })
        {
            double expected = weights.Take(ranks).Sum() / zeta;
            Assert.InRange(counts.Take(ranks).Sum() / (double)draws, expected - 0.02, expected + 0.02);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(1023)]
    [InlineData(1024)]
    [InlineData(1025)]
    [InlineData(100_000)]
    public void Every_rank_has_a_page_of_its_own(int pages)
    {
        var choice = new ZipfPages(pages, 0.99);
        bool[] taken = new bool[pages];
        for (int rank = 0; rank < pages; rank++)
        {
            long page = choice.PageOfRank(rank);
            Assert.False(taken[page]);
            taken[page] = true;
        }
    }

    [Theory]
    [InlineData(16_384)]
    [InlineData(262_144)]
    [InlineData(1_000_000)]
    public void The_most_frequent_pages_are_scattered(int pages)
    {
        const int parts = 16;
        var choice = new ZipfPages(pages, 0.99);
        long[] hot = [.. Enumerable.Range(0, parts * 16).Select(rank => choice.PageOfRank(rank))];
        int[] perPart = new int[parts];
        foreach (long page in hot)
        {
            perPart[page * parts / pages]++;
        }

        // 16 are expected in each part.
        Assert.All(perPart, count => Assert.InRange(count, 3, 40));
        Assert.InRange(hot.Count(page => hot.Contains(page + 1)), 0, 16);
    }
}
