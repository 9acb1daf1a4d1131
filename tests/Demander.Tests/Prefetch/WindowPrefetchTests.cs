using Hecatonchire.Pages;
using Hecatonchire.Prefetch;
using Xunit;

namespace Hecatonchire.Tests.Prefetch;

public class WindowPrefetchTests
{
    [Fact]
    public void The_window_is_the_aligned_block_around_the_fault()
    {
        var policy = new WindowPrefetch();
        for (int page = 0; page < 100; page++)
        {
            PrefetchWindow window = policy.OnFault(1, new PageId(0, page), 128);
            Assert.Equal((page / 16 * 16, 16, 1), (window.First, window.Count, window.Stride));
        }
    }

    [Fact]
    public void Touched_windows_are_used_and_forgotten_ones_wasted()
    {
        var policy = new WindowPrefetch();
        for (int i = 0; i < 512; i++)
        {
            PrefetchWindow window = policy.OnFault(1, new PageId(0, i * 16), 128);
            policy.Issued(window.Stream, 15, 0);
            if (i % 2 == 0)
            {
                Assert.Equal(0, policy.OnHit(window.Stream, new PageId(0, window.First), 128).Count);
            }
        }

        // The windows of the first 256 faults have made place; half of them were touched.
        Assert.Equal(256 * 15, policy.Used);
        Assert.Equal(128 * 15, policy.Wasted);
    }

    [Fact]
    public void Little_room_makes_no_window() => Assert.Equal(0, new WindowPrefetch().OnFault(1, new PageId(0, 5), 1).Count);
}
