using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Cli;
using Hecatonchire.Host;
using Hecatonchire.Tests.Host;
using Xunit;

namespace Hecatonchire.Tests.Bench;

/// <summary>Real worker processes; without a pager, in local memory.</summary>
public sealed class WorkerProcessTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData("fault", 1)]
    [InlineData("scan", 2)]
    [InlineData("random-walk", 2)]
    [InlineData("zipf", 2)]
    [InlineData("quicksort", 2)]
    public void A_worker_runs_to_a_verified_result(string name, int threads)
    {
        List<string> order = [];
        WorkerLine result = WorkerProcess.Run(
            Options(name) with { Threads = threads },
            null,
            new WorkerProcess.Hooks { Measure = () => order.Add("measure"), Measured = () => order.Add("measured") },
            CancellationToken.None);
        Assert.Equal(["measure", "measured"], order);
        Assert.True(result.Verified);
        Assert.True(result.ElapsedS > 0);
        Assert.True(result.Accesses > 0);
        Assert.True(result.RssPeakBytes >= Options(name).Bytes);
        Assert.Equal(name == "fault", result.TouchUs is not null);
    }

    [Fact]
    public void A_worker_is_confined_before_it_has_any_data()
    {
        long atConfine = 0, atMeasure = 0;
        int worker = 0;
        WorkerProcess.Run(
            Options("scan") with { Bytes = 64 << 20 },
            null,
            new WorkerProcess.Hooks
            {
                Confine = process => atConfine = AnonymousKibibytes(worker = process),
                Measure = () => atMeasure = AnonymousKibibytes(worker),
            },
            CancellationToken.None);
        Assert.InRange(atConfine, 1, 32 << 10);
        Assert.InRange(atMeasure - atConfine, 64 << 10, 80 << 10);

        static long AnonymousKibibytes(int process) =>
            long.Parse(new HostFiles().ReadValue($"/proc/{process}/status", "RssAnon:")!.Split(' ')[0], CultureInfo.InvariantCulture);
    }

    [Fact]
    public void Without_its_pager_a_worker_says_so()
    {
        CommandException error = Assert.Throws<CommandException>(() => WorkerProcess.Run(
            Options("scan"), Path.Combine(Path.GetTempPath(), "heca-no-pager-here.sock"), new WorkerProcess.Hooks(), CancellationToken.None));
        Assert.Equal(1, error.Status);
        Assert.Contains("allocating sponsored memory failed", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void An_interruption_ends_the_worker()
    {
        using var source = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => WorkerProcess.Run(
            Options("scan"), null, new WorkerProcess.Hooks { Measure = source.Cancel }, source.Token));
    }

    [Fact]
    public void A_pager_that_cannot_go_on_ends_the_worker_with_its_reason()
    {
        bool measuring = false;
        var hooks = new WorkerProcess.Hooks
        {
            Measure = () => Volatile.Write(ref measuring, true),
            Failure = () => Volatile.Read(ref measuring) ? "the sponsor is gone" : null,
        };
        CommandException error = Assert.Throws<CommandException>(
            () => WorkerProcess.Run(Options("random-walk") with { Accesses = long.MaxValue / 1024 }, null, hooks, CancellationToken.None));
        Assert.Equal((1, "the sponsor is gone"), (error.Status, error.Message));
    }

    [Fact]
    public void A_worker_does_not_outlive_its_parent()
    {
        var start = new ProcessStartInfo(
            WorkerProcess.OwnProgram(), WorkerProcess.Arguments(Options("random-walk") with { Accesses = long.MaxValue / 1024 }, WorkerMemory.Local))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        using Process worker = Process.Start(start)!;
        worker.StandardInput.WriteLine(WorkerLine.Go);
        while (worker.StandardOutput.ReadLine() is { } line && !line.Contains("measure", StringComparison.Ordinal))
        {
        }

        worker.StandardInput.WriteLine(WorkerLine.Go);
        worker.StandardInput.Close();
        bool ended = worker.WaitForExit(Deadline);
        if (!ended)
        {
            worker.Kill();
        }

        Assert.True(ended);
        Assert.NotEqual(0, worker.ExitCode);
    }

    [Theory]
    [InlineData(2, "bench", "scan")]
    [InlineData(2, "bench", "scan", "--embedded", "--size", "much")]
    [InlineData(2, "bench", "nothing")]
    [InlineData(2, "bench-worker", "nothing", "--size", "4096")]
    public void Bad_usage_is_one_line_and_status_2(int expected, params string[] arguments)
    {
        (int status, string output, string error) = Heca(arguments);
        Assert.Equal(expected, status);
        Assert.Empty(output);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Theory]
    [InlineData("scan")]
    [InlineData("quicksort")]
    public void A_benchmark_over_an_embedded_sponsor_verifies(string benchmark)
    {
        HostCapability.Require("userfaultfd", HostRequirements.FirstMissing() is null, "this host cannot run a pager: see `heca check`");
        HostCapability.Require("sponsor", File.Exists(SponsorProgram()), "heca-sponsor is not built");
        (int status, string output, string error) = Heca("bench", benchmark, "--embedded", "--size", "8MiB", "--baseline", "--json");
        Assert.True(status == 0, error);
        using JsonDocument document = JsonDocument.Parse(output);
        JsonElement root = document.RootElement;
        Assert.True(root.GetProperty("verified").GetBoolean());
        Assert.True(root.GetProperty("pages_in").GetInt64() > 0);
        Assert.True(root.GetProperty(benchmark == "scan" ? "pages_dropped" : "pages_out").GetInt64() > 0);
        Assert.InRange(root.GetProperty("resident_peak_bytes").GetInt64(), 1, root.GetProperty("local_bytes").GetInt64());
        Assert.True(root.GetProperty("baseline_s").GetDouble() > 0);
    }

    [Fact]
    public void A_benchmark_in_local_memory_needs_no_pager_and_no_sponsor()
    {
        (int status, string output, string error) = Heca("bench", "scan", "--system", "local", "--size", "8MiB", "--json");
        Assert.True(status == 0, error);
        using JsonDocument document = JsonDocument.Parse(output);
        JsonElement root = document.RootElement;
        Assert.True(root.GetProperty("verified").GetBoolean());
        Assert.Equal(("local", "", ""), (Text("system"), Text("transport"), Text("prefetch")));
        Assert.Equal(8 << 20, root.GetProperty("local_bytes").GetInt64());

        string Text(string name) => root.GetProperty(name).GetString()!;
    }

    private static WorkloadOptions Options(string name)
    {
        Assert.True(WorkloadNames.TryParse(name, out WorkloadKind kind));
        return new WorkloadOptions { Kind = kind, Bytes = 4 << 20 };
    }

    /// <summary>Where the embedded sponsor is found when heca runs from this test's directory.</summary>
    private static string SponsorProgram()
    {
        var here = new DirectoryInfo(AppContext.BaseDirectory);
        return Path.GetFullPath(Path.Combine(
            here.FullName, "..", "..", "..", "..", "..", "src", "Sponsor", "bin", here.Parent!.Name, here.Name, "heca-sponsor"));
    }

    private static (int Status, string Output, string Error) Heca(params string[] arguments)
    {
        var start = new ProcessStartInfo(WorkerProcess.OwnProgram(), arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(Deadline));
        return (process.ExitCode, output, error.Result);
    }
}
