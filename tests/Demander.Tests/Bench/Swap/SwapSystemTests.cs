using System.Text.Json;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Cli;
using Hecatonchire.Interop;
using Hecatonchire.Pager;
using Hecatonchire.Tests.Cli;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Hecatonchire.Tests.Bench.Swap;

/// <summary>Benchmarks over the kernel's own swap, on areas that they make and remove.</summary>
[Collection(SwapHost.Name)]
public sealed class SwapSystemTests : IDisposable
{
    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(60);

    private readonly string _before = SwapHost.State();

    /// <summary>Every test leaves the host as it was.</summary>
    public void Dispose() => Assert.Equal(_before, SwapHost.State());

    [Theory]
    [InlineData("disk-swap", "fault")]
    [InlineData("disk-swap", "random-walk")]
    [InlineData("zram-lzo-rle", "fault")]
    [InlineData("zram-lzo-rle", "scan")]
    [InlineData("zram-lz4", "fault")]
    [InlineData("zram-lz4", "quicksort")]
    [InlineData("zswap", "fault")]
    [InlineData("zswap", "zipf")]
    public void A_benchmark_is_swapped_within_its_budget_and_verifies(string name, string benchmark)
    {
        Assert.True(MemorySystemNames.TryParse(name, out MemorySystem system));
        SwapHost.Require(system);
        (int status, string output, string error) = HecaProcess.Run(
            new Dictionary<string, string?>(), "bench", benchmark, "--system", name, "--size", "64MiB", "--local", "1:2", "--json");
        Assert.True(status == 0, error);
        using JsonDocument document = JsonDocument.Parse(output);
        JsonElement root = document.RootElement;
        Assert.Equal((name, ""), (root.GetProperty("system").GetString(), root.GetProperty("transport").GetString()));
        Assert.True(root.GetProperty("verified").GetBoolean());
        Assert.True(Number("pages_in") > 0 && Number("pages_out") > 0, output);

        // As much of the data is here as a pager would keep, neither much more nor much less.
        Assert.InRange(Number("resident_peak_bytes"), Number("local_bytes") * 9 / 10, Number("local_bytes") * 103 / 100);
        Assert.InRange(Number("device_bytes"), (64 << 20) / 2 / 4, 64 << 20);
        Assert.True(root.GetProperty("cpu_s").GetProperty("host").GetDouble() > 0);
        if (benchmark == "fault")
        {
            // Only touches that waited for the device are counted.
            Assert.InRange(Number("accesses"), 1000, Number("faults"));
            Assert.True(root.GetProperty("touch_us").GetProperty("p50").GetDouble() > 0.5, output);
        }

        long Number(string property) => root.GetProperty(property).GetInt64();
    }

    [Fact]
    public void What_the_kernel_kills_for_want_of_memory_is_a_result_of_its_own()
    {
        SwapHost.Require(MemorySystem.DiskSwap);
        string area = $"{SwapFile.DefaultDirectory}/heca-bench-{Environment.ProcessId}.swap";
        _ = LocalBudget.TryParse("16MiB", out LocalBudget local);
        var settings = new BenchSettings
        {
            System = MemorySystem.DiskSwap,
            Workload = new WorkloadOptions { Kind = WorkloadKind.RandomWalk, Bytes = 64 << 20, Accesses = long.MaxValue / 1024 },
            Local = local,
        };
        var display = new ProgressDisplay(TextWriter.Null, ProgressMode.Quiet);
        using var cancellation = new CancellationTokenSource(TimeMax);
        Task<BenchResult> run = Task.Run(() => BenchRun.Run(settings, display, NullLoggerFactory.Instance, cancellation.Token), cancellation.Token);

        // Without swap the data exceed the limit: the kernel has nothing to reclaim.
        Assert.True(SpinWait.SpinUntil(() => SwapArea.UsedBytes(area) > 16 << 20 || run.IsCompleted, TimeMax));
        _ = Libc.SwapOff(area);
        AggregateException thrown = Assert.Throws<AggregateException>(run.Wait);
        OomKilledException killed = Assert.IsType<OomKilledException>(thrown.InnerException);
        Assert.StartsWith("OOM-killed", killed.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', killed.Message);
        Assert.Equal(ExitStatus.Failed, killed.Status);
    }

    [Fact]
    public void Two_runs_with_swap_do_not_share_a_host()
    {
        SwapHost.Require(MemorySystem.DiskSwap);
        using SwapJournal journal = SwapJournal.Open();
        string error = HecaProcess.RunToError(ExitStatus.Failed, "bench", "scan", "--system", "disk-swap", "--size", "4MiB");
        Assert.Contains("another", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_swap_file_in_memory_is_refused()
    {
        SwapHost.Require(MemorySystem.DiskSwap);
        Assert.SkipUnless(DiskFolder.WhyNot("/dev/shm") is not null, "/dev/shm is no tmpfs");
        string error = HecaProcess.RunToError(ExitStatus.Failed, "bench", "scan", "--system", "disk-swap", "--size", "4MiB", "--swap-dir", "/dev/shm");
        Assert.Contains("/dev/shm is in memory (tmpfs)", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_swap_file_that_does_not_fit_is_refused_before_it_is_made()
    {
        SwapHost.Require(MemorySystem.DiskSwap);
        string error = HecaProcess.RunToError(ExitStatus.Failed, "bench", "scan", "--system", "disk-swap", "--size", "4TiB");
        Assert.Contains("free and", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Zram_that_could_take_all_of_the_hosts_memory_is_refused()
    {
        SwapHost.Require(MemorySystem.ZramLz4);
        string error = HecaProcess.RunToError(ExitStatus.Failed, "bench", "scan", "--system", "zram-lz4", "--size", "4TiB");
        Assert.Contains("compressed in memory may need as much", error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("lz4")]
    [InlineData("lzo-rle")]
    public unsafe void Zram_compresses_the_data_between_1_2_and_1_5(string compressor)
    {
        SwapHost.Require(MemorySystem.ZramLz4);
        const int bytes = 8 << 20;
        using var memory = new LocalBenchMemory(bytes);
        Workload.Create(memory, new WorkloadOptions { Kind = WorkloadKind.Scan, Bytes = bytes }, new PhaseProgress()).Fill();
        using SwapJournal journal = SwapJournal.Open();
        var device = ZramDevice.Create(compressor, bytes, journal);
        using (var file = new FileStream(device.Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0))
        {
            file.Write(new ReadOnlySpan<byte>(memory.Address, bytes));
            file.Flush(flushToDisk: true);
        }

        long[] sizes = [.. File.ReadAllText($"/sys/block/zram{device.Number}/mm_stat").Split(' ', StringSplitOptions.RemoveEmptyEntries).Take(3).Select(long.Parse)];
        Assert.Equal(bytes, sizes[0]);
        Assert.InRange((double)sizes[0] / sizes[1], 1.2, 1.5);
        Assert.Equal(sizes[2], device.UsedBytes());
    }
}
