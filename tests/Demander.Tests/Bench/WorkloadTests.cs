using System.Runtime.InteropServices;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Workloads;
using Xunit;

namespace Hecatonchire.Tests.Bench;

/// <summary>The workloads over ordinary memory: right data verify, and each way in which a pager could lose data is caught.</summary>
public sealed unsafe class WorkloadTests
{
    private const int Page = 4096;
    private const long Bytes = 2L << 20;

    public static TheoryData<string, int> KindsAndThreads => new()
    {
        { "fault", 1 }, { "scan", 1 }, { "scan", 3 }, { "random-walk", 1 }, { "random-walk", 4 }, { "zipf", 1 }, { "zipf", 4 }, { "quicksort", 1 }, { "quicksort", 4 },
    };

    public static TheoryData<string, string> KindsAndBugs
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string kind in (string[])["fault", "scan", "random-walk", "zipf", "quicksort"])
            {
                foreach (string bug in (string[])["zeroed page", "swapped pages", "dropped write"])
                {
                    data.Add(kind, bug);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(KindsAndThreads))]
    public void Untouched_data_verify(string name, int threads)
    {
        using var memory = new LocalBenchMemory(Bytes);
        Workload workload = Create(name, memory, threads);
        workload.Fill();
        workload.Measure();
        Assert.True(workload.Verify());
        Assert.True(workload.Accesses > 0);
    }

    [Theory]
    [MemberData(nameof(KindsAndBugs))]
    public void Lost_data_are_caught(string name, string bug)
    {
        using var memory = new LocalBenchMemory(Bytes);
        Workload workload = Create(name, memory, name == "fault" ? 1 : 2);
        workload.Fill();

        // Sorting makes the same of two pages in either order, so there the pages change places after it.
        bool after = name == "quicksort" && bug == "swapped pages";
        if (!after)
        {
            Break(memory, bug);
        }

        workload.Measure();
        if (after)
        {
            Break(memory, bug);
        }

        Assert.False(workload.Verify());
    }

    [Theory]
    [InlineData("random-walk")]
    [InlineData("zipf")]
    public void A_lost_write_of_the_walk_itself_is_caught(string name)
    {
        using var memory = new LocalBenchMemory(Bytes);
        Workload workload = Create(name, memory, 2);
        workload.Fill();
        byte[] filled = new Span<byte>(memory.Address, (int)Bytes).ToArray();
        workload.Measure();
        int changed = new Span<byte>(memory.Address, (int)Bytes).CommonPrefixLength(filled);
        Assert.True(changed < Bytes, "the walk wrote nothing");
        int page = changed / Page * Page;
        filled.AsSpan(page, Page).CopyTo(new Span<byte>(memory.Address + page, Page));
        Assert.False(workload.Verify());
    }

    [Fact]
    public void The_seed_decides_the_data()
    {
        Assert.Equal(Filled(7, 1), Filled(7, 3));
        Assert.NotEqual(Filled(7, 1), Filled(8, 1));
    }

    [Theory]
    [InlineData("random-walk")]
    [InlineData("zipf")]
    public void The_walk_writes_as_often_as_it_is_told(string name)
    {
        Assert.Equal(0, Changed(name, 0));
        Assert.InRange(Changed(name, 100), 1, Bytes);
    }

    [Fact]
    public void Zipf_goes_to_a_few_pages_most_of_the_time()
    {
        using var memory = new LocalBenchMemory(Bytes);
        var options = new WorkloadOptions { Kind = WorkloadKind.Zipf, Bytes = Bytes, WritePercent = 100, Accesses = 2_000 };
        Workload workload = Workload.Create(memory, options, new PhaseProgress());
        workload.Fill();
        byte[] filled = new Span<byte>(memory.Address, (int)Bytes).ToArray();
        workload.Measure();

        // Of 512 pages the tenth that is changed most; of uniform steps it would have little more than a tenth.
        int[] changed = [.. Enumerable.Range(0, (int)(Bytes / Page)).Select(p => ChangedWords(memory, filled, p)).OrderDescending()];
        Assert.True(changed.Take(51).Sum() > changed.Sum() / 2, $"{changed.Take(51).Sum()} of {changed.Sum()}");
        Assert.True(workload.Verify());
    }

    [Fact]
    public void Faults_touch_as_many_pages_as_told_and_measure_each()
    {
        using var memory = new LocalBenchMemory(Bytes);
        Workload workload = Workload.Create(
            memory, new WorkloadOptions { Kind = WorkloadKind.Fault, Bytes = Bytes, Accesses = 100, Pin = true }, new PhaseProgress());
        workload.Fill();
        workload.Measure();
        Assert.Equal(100, workload.Accesses);
        Assert.Equal(100, workload.Touches!.Count);
        Assert.True(workload.Verify());
    }

    [Fact]
    public void Sparse_memory_is_used_one_page_in_so_many()
    {
        const int Sparse = 8;
        var options = new WorkloadOptions { Kind = WorkloadKind.Fault, Bytes = Bytes / Sparse, Sparse = Sparse };
        using var memory = new LocalBenchMemory(options.MemoryBytes);
        Workload workload = Workload.Create(memory, options, new PhaseProgress());
        workload.Fill();
        Assert.Equal(options.Bytes, memory.ResidentBytes());
        for (long page = 0; page < Bytes / Page; page++)
        {
            Assert.Equal(page % Sparse == 0, new Span<byte>(memory.Address + (page * Page), Page).ContainsAnyExcept((byte)0));
        }

        workload.Measure();
        Assert.Equal(options.Pages, workload.Accesses);
        Assert.True(workload.Verify());
        memory.Address[Bytes - (Sparse * Page)] ^= 1;
        Assert.False(workload.Verify());
    }

    [Fact]
    public void A_failing_thread_fails_the_workload()
    {
        IOException thrown = Assert.Throws<IOException>(() => Workers.Run("test", 3, i =>
        {
            if (i == 1)
            {
                throw new IOException("one of three");
            }
        }));
        Assert.Equal("one of three", thrown.Message);
    }

    private static Workload Create(string name, LocalBenchMemory memory, int threads)
    {
        Assert.True(WorkloadNames.TryParse(name, out WorkloadKind kind));
        return Workload.Create(memory, new WorkloadOptions { Kind = kind, Bytes = memory.Bytes, Threads = threads }, new PhaseProgress());
    }

    private static void Break(LocalBenchMemory memory, string bug)
    {
        var page = new Span<byte>(memory.Address + (Bytes / 2), Page);
        switch (bug)
        {
            case "zeroed page":
                page.Clear();
                break;
            case "swapped pages":
                var other = new Span<byte>(memory.Address + (Bytes / 4), Page);
                byte[] copy = page.ToArray();
                other.CopyTo(page);
                copy.CopyTo(other);
                break;
            default:
                // As if the last write to this word had not arrived: it has what it had before, zero.
                page.Slice(64, 8).Clear();
                break;
        }
    }

    private static byte[] Filled(ulong seed, int threads)
    {
        using var memory = new LocalBenchMemory(Bytes);
        Workload.Create(memory, new WorkloadOptions { Kind = WorkloadKind.Scan, Bytes = Bytes, Seed = seed, Threads = threads }, new PhaseProgress()).Fill();
        return new Span<byte>(memory.Address, (int)Bytes).ToArray();
    }

    private static int ChangedWords(LocalBenchMemory memory, byte[] filled, int page)
    {
        var now = new ReadOnlySpan<ulong>(memory.Address + ((long)page * Page), Page / sizeof(ulong));
        ReadOnlySpan<ulong> before = MemoryMarshal.Cast<byte, ulong>(filled.AsSpan(page * Page, Page));
        int changed = 0;
        for (int i = 0; i < now.Length; i++)
        {
            changed += now[i] != before[i] ? 1 : 0;
        }

        return changed;
    }

    private static long Changed(string name, int writePercent)
    {
        using var memory = new LocalBenchMemory(Bytes);
        Assert.True(WorkloadNames.TryParse(name, out WorkloadKind kind));
        var options = new WorkloadOptions { Kind = kind, Bytes = Bytes, WritePercent = writePercent };
        Workload workload = Workload.Create(memory, options, new PhaseProgress());
        workload.Fill();
        byte[] filled = new Span<byte>(memory.Address, (int)Bytes).ToArray();
        workload.Measure();
        long changed = 0;
        for (int i = 0; i < filled.Length; i++)
        {
            changed += filled[i] != memory.Address[i] ? 1 : 0;
        }

        return changed;
    }
}
