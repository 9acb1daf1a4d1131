using Hecatonchire.Bench;
using Hecatonchire.Bench.Workloads;
using Xunit;

namespace Hecatonchire.Tests.Bench;

/// <summary>What the random walk catches beyond its final checksum.</summary>
public sealed unsafe class RandomWalkTests
{
    private const long Bytes = 2L << 20;

    [Theory]
    [InlineData(0)]
    [InlineData(20)]
    public void A_page_that_is_wrong_only_while_the_walk_reads_it_is_caught(int writePercent)
    {
        using var memory = new LocalBenchMemory(Bytes);
        var options = new WorkloadOptions { Kind = WorkloadKind.RandomWalk, Bytes = Bytes, Threads = 2, Seed = 7, WritePercent = writePercent };
        Workload workload = Workload.Create(memory, options, new PhaseProgress());
        workload.Fill();

        // What the walk only reads, in the first half of the memory: wrong meanwhile, right again for the checksum.
        FlipEvenWords(memory);
        workload.Measure();
        FlipEvenWords(memory);
        Assert.False(workload.Verify());
    }

    [Fact]
    public void The_same_walk_over_memory_that_is_left_alone_verifies()
    {
        using var memory = new LocalBenchMemory(Bytes);
        var options = new WorkloadOptions { Kind = WorkloadKind.RandomWalk, Bytes = Bytes, Threads = 2, Seed = 7, WritePercent = 20 };
        Workload workload = Workload.Create(memory, options, new PhaseProgress());
        workload.Fill();
        FlipEvenWords(memory);
        FlipEvenWords(memory);
        workload.Measure();
        Assert.True(workload.Verify());
    }

    private static void FlipEvenWords(LocalBenchMemory memory)
    {
        var words = (ulong*)memory.Address;
        for (long i = 0; i < memory.Bytes / sizeof(ulong) / 2; i += 2)
        {
            words[i] = ~words[i];
        }
    }
}
