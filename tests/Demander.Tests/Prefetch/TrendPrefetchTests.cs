using Hecatonchire.Pages;
using Hecatonchire.Prefetch;
using Xunit;

namespace Hecatonchire.Tests.Prefetch;

public class TrendPrefetchTests
{
    private const int WindowMax = 128;
    private const long Far = 100_000;

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(-1)]
    [InlineData(-7)]
    [InlineData(500)]
    [InlineData(-500)]
    public void A_stream_with_a_stride_is_found_and_its_window_lies_ahead(int stride)
    {
        var policy = new TrendPrefetch();
        PrefetchWindow window = default;
        long page = Far;
        for (int i = 0; i < 16 && window.Count == 0; i++, page += stride)
        {
            window = policy.OnFault(1, new PageId(0, page), WindowMax);
        }

        Assert.True(window.Count > 0);
        Assert.Equal(stride, window.Stride);
        Assert.Equal(page, window.First);
    }

    [Fact]
    public void A_sequence_is_found_at_its_third_fault_and_doubles_with_each_hit()
    {
        var policy = new TrendPrefetch();
        Assert.Equal(0, policy.OnFault(1, new PageId(0, 10), WindowMax).Count);
        Assert.Equal(0, policy.OnFault(1, new PageId(0, 11), WindowMax).Count);
        PrefetchWindow window = policy.OnFault(1, new PageId(0, 12), WindowMax);
        int count = window.Count;
        Assert.True(count > 0);
        long used = 0;
        for (int i = 0; i < 8; i++)
        {
            policy.Issued(window.Stream, window.Count, window.First + ((long)window.Count * window.Stride));
            used += window.Count;
            PrefetchWindow next = policy.OnHit(window.Stream, new PageId(0, window.First), WindowMax);
            Assert.Equal(Math.Min(count * 2, WindowMax), next.Count);
            Assert.Equal(window.First + window.Count, next.First);
            (window, count) = (next, next.Count);
            Assert.Equal(used, policy.Used);
        }

        Assert.Equal(0, policy.Wasted);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void Interleaved_streams_of_one_thread_are_found(int streams)
    {
        var policy = new TrendPrefetch();
        var found = new HashSet<int>();

        // Not the same distance from each other, or that would be the trend.
        long[] starts = [0, (7 * Far) + 13, (23 * Far) + 5, (2 * Far) + 77];
        for (int i = 0; i < 8; i++)
        {
            for (int s = 0; s < streams; s++)
            {
                PrefetchWindow window = policy.OnFault(1, new PageId(0, starts[s] + i), WindowMax);
                if (window.Count > 0)
                {
                    // Ahead of the stream that faulted, and of no other.
                    Assert.Equal(1, window.Stride);
                    Assert.InRange(window.First, starts[s] + i + 1, starts[s] + 1000);
                    _ = found.Add(s);
                }
            }
        }

        Assert.Equal(streams, found.Count);
    }

    [Fact]
    public void Threads_are_told_apart()
    {
        // Together their faults make no trend that one of them has.
        var policy = new TrendPrefetch();
        var found = new HashSet<int>();
        for (int i = 0; i < 12; i++)
        {
            for (int thread = 1; thread <= 20; thread++)
            {
                PrefetchWindow window = policy.OnFault(thread, new PageId(0, (thread * Far) + (i * 40)), WindowMax);
                if (window.Count > 0)
                {
                    Assert.Equal(40, window.Stride);
                    _ = found.Add(thread);
                }
            }
        }

        Assert.Equal(20, found.Count);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void Random_faults_prefetch_nothing(int threads)
    {
        var policy = new TrendPrefetch();
        var random = new Random(99);
        int windows = 0;
        for (int i = 0; i < 10_000; i++)
        {
            PrefetchWindow window = policy.OnFault(1 + (i % threads), new PageId(0, random.Next(262_144)), WindowMax);
            windows += window.Count > 0 ? 1 : 0;
        }

        Assert.InRange(windows, 0, 10);
    }

    /// <summary>As when a program fills its memory in order and then works in it at random.</summary>
    [Fact]
    public void Streams_that_nobody_follows_any_more_do_not_take_random_faults_for_their_continuation()
    {
        const int Pages = 65_536, Streams = 64, Faults = 100_000;
        var policy = new TrendPrefetch();
        for (int stream = 0; stream < Streams; stream++)
        {
            for (int i = 0; i < 3; i++)
            {
                PrefetchWindow window = policy.OnFault(1, new PageId(0, (stream * (Pages / Streams)) + i), WindowMax);
                if (window.Count > 0)
                {
                    policy.Issued(window.Stream, window.Count, window.First + window.Count);
                }
            }
        }

        var random = new Random(7);
        int prefetched = 0;
        for (int i = 0; i < Faults; i++)
        {
            PrefetchWindow window = policy.OnFault(1, new PageId(0, random.Next(Pages)), WindowMax);
            prefetched += window.Count;
            if (window.Count > 0)
            {
                policy.Issued(window.Stream, window.Count, window.First + window.Count);
            }
        }

        Assert.InRange(prefetched, 0, Faults / 50);
    }

    [Fact]
    public void What_was_prefetched_for_a_stream_that_is_given_up_counts_as_wasted()
    {
        var policy = new TrendPrefetch();
        long issued = 0;
        for (int stream = 0; stream < 200; stream++)
        {
            for (int i = 0; i < 3; i++)
            {
                PrefetchWindow window = policy.OnFault(1, new PageId(0, (stream * Far) + i), WindowMax);
                if (window.Count > 0)
                {
                    policy.Issued(window.Stream, window.Count, window.First + ((long)window.Count * window.Stride));
                    issued += window.Count;
                    break;
                }
            }
        }

        Assert.Equal(0, policy.Used);
        Assert.InRange(policy.Wasted, issued / 2, issued);
    }

    [Fact]
    public void No_room_no_window()
    {
        var policy = new TrendPrefetch();
        for (int i = 0; i < 20; i++)
        {
            Assert.Equal(0, policy.OnFault(1, new PageId(0, i), 0).Count);
        }
    }

    [Fact]
    public void A_hit_of_a_stream_that_has_made_place_is_ignored()
    {
        var policy = new TrendPrefetch();
        Assert.Equal(0, policy.OnHit(5, new PageId(0, 3), WindowMax).Count);
        Assert.Equal(0, policy.Used);
    }
}
