using Hecatonchire.Eviction;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Transport.InMemory;
using Hecatonchire.WriteBack;
using Xunit;

namespace Hecatonchire.Tests.Simulations;

/// <summary>Invariant 4: nothing on the fault and write-back path allocates.</summary>
public unsafe class AllocationTests
{
    private const int Pages = 1024;
    private const int Warmup = 20_000;
    private const int Faults = 100_000;

    [Theory]
    [InlineData(false, "fifo")]
    [InlineData(true, "fifo")]
    [InlineData(false, "s3-fifo")]
    [InlineData(false, "sieve")]
    [InlineData(false, "behind-stream")]
    public void A_hundred_thousand_faults_with_their_evictions_and_write_backs_allocate_nothing(bool takeCopies, string eviction)
    {
        Assert.True(EvictionKinds.TryParse(eviction, out EvictionKind kind));
        using var sponsor = new InMemorySponsor();
        using var reader = new InMemoryDataConnection(sponsor);
        using var writer = new InMemoryDataConnection(sponsor);
        using var memory = new SimulatedProgramMemory(Pages, 512, threads: 1, takeCopies, seed: 1);
        Assert.True(LocalBudget.TryParse("1MiB", out LocalBudget local));
        using var core = new PagerCore(memory, reader, writer, new TrendPrefetch(), local, 512, kind);
        Assert.True(core.Slots.Add(sponsor.AddSlab(Pages), Pages));
        memory.Register(0, Pages);
        Execute(core, new PagerRequest(PagerRequestKind.Allocate) { Address = SimulatedProgramMemory.Base, Pages = Pages });

        var random = new Random(1);
        Work(core, memory, random, Warmup);
        (long faults, long pagesOut) = (core.Counters.Faults, core.Counters.PagesOut);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Work(core, memory, random, Faults);
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.Equal(0, allocated);
        Assert.True(core.Counters.Faults - faults >= Faults);
        Assert.True(core.Counters.PagesOut - pagesOut > Faults / 4, $"only {core.Counters.PagesOut - pagesOut} pages were written back");
    }

    /// <summary>Writes pages, half of them at random and half in sequence, until there were so many faults.</summary>
    private static void Work(PagerCore core, SimulatedProgramMemory memory, Random random, long faults)
    {
        long end = core.Counters.Faults + faults;
        int next = 0;
        while (core.Counters.Faults < end)
        {
            int page = random.Next(2) == 0 ? random.Next(Pages) : next = (next + 1) % Pages;
            while (memory.Access(0, page, isWrite: true) == Touch.Stopped)
            {
                while (memory.IsWaiting(0))
                {
                    _ = core.RunOnce();
                    _ = memory.StepEvictor();
                }
            }

            *(long*)memory.Data(page) = random.NextInt64();
        }
    }

    private static void Execute(PagerCore core, PagerRequest request)
    {
        core.Post(request);
        while (!request.Done.IsSet)
        {
            _ = core.RunOnce();
        }

        Assert.Equal(0, request.Status);
        request.Dispose();
    }
}
