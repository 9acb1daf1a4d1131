using Hecatonchire.Eviction;
using Hecatonchire.Pages;
using Xunit;

namespace Hecatonchire.Tests.Eviction;

public unsafe class EvictionPolicyTests
{
    public static TheoryData<string> Kinds => [.. Enum.GetValues<EvictionKind>().Select(kind => kind.Name())];

    public static MatrixTheoryData<string, int> KindsAndSeeds => new([.. Enum.GetValues<EvictionKind>().Select(kind => kind.Name())], [1, 2, 3]);

    [Theory]
    [MemberData(nameof(KindsAndSeeds))]
    public void Victims_are_those_of_the_model_whatever_happens_to_pages(string name, int seed)
    {
        using var run = new PolicyRun(KindOf(name), seed);
        for (int i = 0; i < 30_000; i++)
        {
            run.Step();
            if (i % 1000 == 0)
            {
                run.CheckGhosts();
            }
        }

        run.Drain();
        Assert.True(run.Refaults > 0 || name is "fifo" or "behind-stream", "no page came back as a ghost: this tests nothing");
    }

    /// <summary>The pager gives a program up when the kernel has refused as many pages as there are: each must have been tried.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void When_the_kernel_takes_none_every_page_comes_up_before_any_comes_up_again(string name)
    {
        const int resident = 3000;
        using var pages = new PolicyPages(KindOf(name), 2 * resident, resident);

        // With something in every queue, some of it marked.
        var random = new Random(5);
        for (int i = 0; i < 20_000; i++)
        {
            pages.Come(random.Next(2 * resident), random.Next(2) == 0 ? PageArrival.Prefetch : PageArrival.Demand);
        }

        var refused = new HashSet<long>();
        long count = pages.Policy.Count;
        for (long i = 0; i < count; i++)
        {
            Assert.True(pages.Policy.TryPop(out PageId victim));
            Assert.True(refused.Add(victim.Page), $"page {victim.Page} comes up again after {i} of {count}");
            pages.Policy.Push(victim, ref pages.Entry(victim.Page), PageArrival.Returned);
        }

        Assert.Equal(pages.ResidentPages, refused.Count);
    }

    /// <summary>Entries whose pages went another way must not pile up.</summary>
    [Theory]
    [MemberData(nameof(Kinds))]
    public void The_queues_stay_within_their_capacity(string name)
    {
        const int all = 40_000, resident = 1000, capacity = resident + (resident / 8) + 4096;
        using var pages = new PolicyPages(KindOf(name), all, resident);
        long bytes = pages.Policy.MemoryBytes;
        for (int i = 0; i < 20 * all; i++)
        {
            pages.Come(i % all, (PageArrival)(i / 7 % 2));
            if (i >= resident / 2)
            {
                pages.Drop((i - (resident / 2)) % all);
            }

            Assert.InRange(pages.Policy.Count, 0, capacity);
        }

        Assert.Equal(bytes, pages.Policy.MemoryBytes);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void With_the_page_table_it_is_at_most_six_thousandths_of_the_memory(string name)
    {
        const long all = 1 << 24;
        for (int sixteenths = 1; sixteenths <= 16; sixteenths++)
        {
            using var segments = new SegmentTable();
            using EvictionPolicy policy = KindOf(name).Create(segments);
            policy.EnsureCapacity(all / 16 * sixteenths, all);
            double bytesPerPage = sizeof(PageEntry) + sizeof(ulong) + (policy.MemoryBytes / (double)all);
            Assert.True(bytesPerPage <= 0.006 * 4096, $"{bytesPerPage:0.00} bytes per page at {sixteenths}:16");
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Pages_keep_their_order_when_the_memory_of_the_queues_grows(string name)
    {
        using var pages = new PolicyPages(KindOf(name), 100_000, 6000);
        for (int page = 0; page < 6000; page++)
        {
            pages.Come(page, PageArrival.Demand);
        }

        for (int page = 0; page < 600; page++)
        {
            Assert.True(pages.Policy.TryPop(out PageId victim));
            Assert.Equal(page, victim.Page);
        }

        pages.Policy.EnsureCapacity(50_000, 100_000);
        for (int page = 600; page < 6000; page++)
        {
            Assert.True(pages.Policy.TryPop(out PageId victim));
            Assert.Equal(page, victim.Page);
        }
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Nothing_is_allocated(string name)
    {
        using var pages = new PolicyPages(KindOf(name), 8000, 2000);
        var random = new Random(3);
        Work(20_000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Work(200_000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Work(int touches)
        {
            for (int i = 0; i < touches; i++)
            {
                pages.Come(random.Next(8000), (PageArrival)(i % 2));
                if (i % 50_000 == 0)
                {
                    pages.Policy.Sweep();
                }
            }
        }
    }

    private static EvictionKind KindOf(string name)
    {
        Assert.True(EvictionKinds.TryParse(name, out EvictionKind kind));
        return kind;
    }
}
