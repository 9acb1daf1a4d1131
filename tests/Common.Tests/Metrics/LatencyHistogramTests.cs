using Hecatonchire.Metrics;
using Xunit;

namespace Hecatonchire.Tests.Metrics;

public sealed class LatencyHistogramTests
{
    /// <summary>32 buckets per power of two: a bucket is at most 1/32 of its lower bound wide.</summary>
    private const double WidthMax = 1.0 / 32;

    [Fact]
    public void Every_magnitude_keeps_the_error_bound()
    {
        var random = new Random(1);
        for (int magnitude = 0; magnitude < 40; magnitude++)
        {
            for (int i = 0; i < 200; i++)
            {
                long value = (1L << magnitude) + (random.NextInt64() & ((1L << magnitude) - 1));
                var histogram = new LatencyHistogram();
                histogram.Record(value);
                histogram.Record((1L << 40) - 1);
                long reported = histogram.Percentile(0.5);
                Assert.InRange(reported, value, value + (value * WidthMax));
                Assert.True(value >= 32 || reported == value, "small values are exact");
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(1000)]
    [InlineData(20_000)]
    public void Percentiles_agree_with_a_sorted_list(int count)
    {
        var random = new Random(count);
        var histogram = new LatencyHistogram();
        long[] values = new long[count];
        for (int i = 0; i < count; i++)
        {
            // Log-uniform, 1 ns to 1 s: every magnitude takes part.
            values[i] = (long)Math.Pow(10, random.NextDouble() * 9);
            histogram.Record(values[i]);
        }

        Array.Sort(values);
        foreach (double fraction in new[] { 0, 0.01, 0.5, 0.9, 0.99, 0.999, 1 })
        {
            long exact = values[Math.Max(0, (int)Math.Ceiling(fraction * count) - 1)];
            Assert.InRange(histogram.Percentile(fraction), exact, exact + (exact * WidthMax));
        }

        Assert.Equal(values[^1], histogram.Percentile(1));
        Assert.Equal(values[^1], histogram.Max);
        Assert.Equal(values.Sum(), histogram.Sum);
        Assert.Equal(count, histogram.Count);
    }

    [Fact]
    public void What_is_replayed_agrees_with_a_sorted_list_to_a_bucket_and_with_its_sum()
    {
        var random = new Random(3);
        var histogram = new LatencyHistogram();
        long[] values = new long[5000];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = random.NextInt64(1, 2_000_000);
            histogram.Record(values[i]);
        }

        List<(double Value, long Records)> told = [];
        histogram.Replay(new LatencyHistogram(), 0, (value, records) => told.Add((value, records)));
        for (long bound = 1; bound < 3_000_000; bound = (bound * 3) + 1)
        {
            long least = values.Count(v => v <= bound);
            Assert.InRange(told.Where(t => t.Value <= bound + (bound * WidthMax)).Sum(t => t.Records), least, values.Count(v => v <= bound + (3 * bound * WidthMax)));
        }

        Assert.Equal(5000, told.Sum(t => t.Records));
        Assert.Equal(histogram.Sum, told.Sum(t => t.Value * t.Records), 1e-3);

        // From there on, only what is new.
        LatencyHistogram earlier = new();
        histogram.CopyTo(earlier);
        histogram.Record(77);
        told.Clear();
        histogram.Replay(earlier, earlier.Sum, (value, records) => told.Add((value, records)));
        Assert.Equal(1, Assert.Single(told).Records);
        Assert.Equal(77, told[0].Value, 1e-3);
    }

    [Fact]
    public void Adding_is_the_same_as_recording_both()
    {
        LatencyHistogram a = new(), b = new(), both = new(), copy = new();
        for (int i = 0; i < 3000; i++)
        {
            long value = i * 37L % 100_000;
            (i % 3 == 0 ? a : b).Record(value);
            both.Record(value);
        }

        copy.Record(12345);
        a.CopyTo(copy);
        copy.Add(b);
        foreach (double fraction in new[] { 0.1, 0.5, 0.99, 1 })
        {
            Assert.Equal(both.Percentile(fraction), copy.Percentile(fraction));
        }

        Assert.Equal((both.Count, both.Sum, both.Max), (copy.Count, copy.Sum, copy.Max));
        copy.Clear();
        Assert.Equal((0, 0, 0, 0), (copy.Count, copy.Sum, copy.Max, copy.Percentile(0.5)));
    }

    [Fact]
    public void Values_outside_the_range_are_clamped_and_recording_allocates_nothing()
    {
        var histogram = new LatencyHistogram();
        histogram.Record(-5);
        histogram.Record(long.MaxValue);
        Assert.Equal(0, histogram.Percentile(0.5));
        Assert.Equal((1L << 40) - 1, histogram.Max);

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 10_000; i++)
        {
            histogram.Record(i);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
