using System.CommandLine;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Cli;
using Hecatonchire.Cli.Bench;
using Hecatonchire.Eviction;
using Hecatonchire.Lending;
using Hecatonchire.Prefetch;
using Xunit;

namespace Hecatonchire.Tests.Bench;

public sealed class BenchOptionsTests
{
    [Theory]
    [InlineData("scan", "", "--sponsor", "--embedded")]
    [InlineData("scan", "--embedded --sponsor a:1", "--embedded", "--sponsor")]
    [InlineData("scan", "--sponsor nowhere", "--sponsor", "nowhere")]
    [InlineData("scan", "--embedded --size 1KiB", "--size", "1KiB")]
    [InlineData("scan", "--embedded --size much", "--size", "much")]
    [InlineData("scan", "--embedded --local 5:4", "--local", "5:4")]
    [InlineData("scan", "--embedded --threads 0", "--threads", "0")]
    [InlineData("scan", "--embedded --passes 0", "--passes", "0")]
    [InlineData("scan", "--embedded --prefetch far", "--prefetch", "far")]
    [InlineData("scan", "--embedded --eviction lru", "--eviction", "lru")]
    [InlineData("scan", "--embedded --transport pigeon", "--transport", "pigeon")]
    [InlineData("scan", "--embedded --metrics 99999", "--metrics", "99999")]
    [InlineData("random-walk", "--embedded --writes 101", "--writes", "101")]
    [InlineData("random-walk", "--embedded --accesses 0", "--accesses", "0")]
    [InlineData("zipf", "--embedded --theta 1", "--theta", "1 is not")]
    [InlineData("zipf", "--embedded --theta 0", "--theta", "0 is not")]
    [InlineData("zipf", "--embedded --writes -1", "--writes", "-1")]
    [InlineData("fault", "--embedded --threads 2", "--threads", "only 1")]
    [InlineData("fault", "--embedded --prefetch trend", "--prefetch", "only none")]
    [InlineData("fault", "--embedded --size 4MiB --accesses 1025", "--accesses", "1024 pages")]
    [InlineData("fault", "--embedded --pin maybe", "--pin", "maybe")]
    [InlineData("scan", "--system swap", "--system", "'swap'")]
    [InlineData("scan", "--system heca", "--sponsor", "--embedded")]
    [InlineData("scan", "--system zswap --embedded", "--embedded", "--system zswap")]
    [InlineData("scan", "--system zram-lz4 --sponsor a:1", "--sponsor", "--system zram-lz4")]
    [InlineData("scan", "--system disk-swap --prefetch trend", "--prefetch", "--system disk-swap")]
    [InlineData("scan", "--system local --metrics 9400", "--metrics", "--system local")]
    [InlineData("scan", "--system local --local 1:4", "--local", "--system local")]
    [InlineData("scan", "--system zram-lz4 --swap-dir /var/tmp", "--swap-dir", "--system zram-lz4")]
    [InlineData("scan", "--embedded --swap-dir /var/tmp", "--swap-dir", "--system heca")]
    public void Bad_usage_names_option_and_value(string benchmark, string arguments, string option, string value)
    {
        CommandException error = Assert.Throws<CommandException>(() => Read(benchmark, arguments));
        Assert.Equal(2, error.Status);
        Assert.Contains(option, error.Message, StringComparison.Ordinal);
        Assert.Contains(value, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Theory]
    [InlineData("scan", "--writes 5")]
    [InlineData("quicksort", "--accesses 5")]
    [InlineData("quicksort", "--floor")]
    [InlineData("random-walk", "--pin yes")]
    [InlineData("random-walk", "--theta 0.5")]
    public void A_benchmark_takes_only_options_that_mean_something_to_it(string benchmark, string arguments) =>
        Assert.NotEmpty(Parse(benchmark, arguments).Parsed.Errors);

    [Theory]
    [InlineData("fault", 1, "None")]
    [InlineData("scan", 1, "Trend")]
    [InlineData("random-walk", 4, "Trend")]
    [InlineData("zipf", 4, "Trend")]
    [InlineData("quicksort", 2, "Trend")]
    public void Defaults(string benchmark, int threads, string prefetch)
    {
        BenchSettings settings = Read(benchmark, "--embedded");
        Assert.Equal(1L << 30, settings.Workload.Bytes);
        Assert.Equal(1L << 28, settings.Local.Resolve(settings.Workload.Bytes));
        Assert.Equal(threads, settings.Workload.Threads);
        Assert.Equal(prefetch, settings.Prefetch.ToString());
        Assert.Equal(EvictionKind.Sieve, settings.Eviction);
        Assert.Null(settings.Borrowing);
        Assert.False(settings.Baseline || settings.Floor);
    }

    [Fact]
    public void Options_reach_the_settings()
    {
        BenchSettings settings = Read(
            "random-walk", "--embedded --size 64MiB --local 1:8 --threads 3 --seed 9 --writes 50 --accesses 77 --prefetch window --eviction s3-fifo --baseline --metrics 9400");
        Assert.Equal(
            new WorkloadOptions { Kind = WorkloadKind.RandomWalk, Bytes = 64 << 20, Threads = 3, Seed = 9, WritePercent = 50, Accesses = 77, Passes = 1 },
            settings.Workload);
        Assert.Equal(8L << 20, settings.Local.Resolve(64 << 20));
        Assert.Equal(PrefetchKind.Window, settings.Prefetch);
        Assert.Equal(EvictionKind.S3Fifo, settings.Eviction);
        Assert.True(settings.Baseline);
        Assert.Equal("9400", settings.Metrics);
    }

    [Theory]
    [InlineData("heca", "--embedded", "Heca")]
    [InlineData("local", "", "Local")]
    [InlineData("disk-swap", "", "DiskSwap")]
    [InlineData("zram-lzo-rle", "", "ZramLzoRle")]
    [InlineData("zram-lz4", "", "ZramLz4")]
    [InlineData("zswap", "", "Zswap")]
    public void Every_system_has_a_name(string name, string arguments, string system)
    {
        foreach (string benchmark in (string[])["fault", "scan", "random-walk", "zipf", "quicksort"])
        {
            Assert.Equal(system, Read(benchmark, $"--system {name} {arguments}").System.ToString());
        }
    }

    [Fact]
    public void A_walk_may_have_one_thread_that_only_reads()
    {
        WorkloadOptions walk = Read("zipf", "--system local --threads 1 --writes 0 --theta 0.8").Workload;
        Assert.Equal((1, 0, 0.8), (walk.Threads, walk.WritePercent, walk.Theta));
        Assert.Equal(0.99, Read("zipf", "--system local").Workload.Theta);
    }

    [Fact]
    public void The_swap_file_lies_on_disk_unless_told_otherwise()
    {
        Assert.Equal("/var/tmp", Read("scan", "--system zswap").SwapDirectory);
        Assert.Equal("/mnt", Read("scan", "--system disk-swap --swap-dir /mnt").SwapDirectory);
    }

    private static BenchSettings Read(string benchmark, string arguments)
    {
        (BenchOptions options, ParseResult parsed) = Parse(benchmark, arguments);
        Assert.Empty(parsed.Errors);
        return options.Read(parsed);
    }

    private static (BenchOptions Options, ParseResult Parsed) Parse(string benchmark, string arguments)
    {
        Assert.True(WorkloadNames.TryParse(benchmark, out WorkloadKind kind));
        var command = new Command(benchmark);
        var options = new BenchOptions(kind, command);
        return (options, command.Parse(arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
    }
}
