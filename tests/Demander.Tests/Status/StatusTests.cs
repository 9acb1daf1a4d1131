using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Hecatonchire.Cli.Status;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Status;
using Hecatonchire.Tests.Cli;
using Xunit;

namespace Hecatonchire.Tests.Status;

/// <summary>What a running pager tells whoever asks. In one collection with what starts pagers: the directory is the process's.</summary>
[Collection(ProcessSignals.Name)]
public sealed class StatusTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-").FullName;

    public StatusTests() => Environment.SetEnvironmentVariable(StatusDirectory.Environment, _directory);

    public void Dispose()
    {
        Environment.SetEnvironmentVariable(StatusDirectory.Environment, null);
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void A_pager_tells_its_figures_as_often_as_it_is_asked_and_nothing_is_left_of_it()
    {
        using (StatusServer server = Start())
        {
            for (int i = 0; i < 50; i++)
            {
                StatusReport report = Assert.Single(StatusDirectory.Ask());
                Assert.Equal(
                    (Environment.ProcessId, 77, "redis-server", "tcp", 5000L, 3L << 20, 9L << 20),
                    (report.Pager, report.Program, report.Name, report.Transport, report.Faults, report.ResidentBytes, report.RemoteBytes));
                Assert.Equal(4, report.FaultLatencyUs.Count);
            }
        }

        Assert.Empty(StatusDirectory.Ask());
        Assert.Empty(Directory.GetFiles(_directory));
    }

    [Fact]
    public void Many_may_ask_at_once_and_leave_without_listening()
    {
        using StatusServer server = Start();
        string path = Directory.GetFiles(_directory).Single();
        Parallel.For(0, 64, i =>
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(path));
            if (i % 2 == 0)
            {
                socket.LingerState = new LingerOption(true, 0);
            }
        });
        Assert.Single(StatusDirectory.Ask());
    }

    [Fact]
    public void What_a_killed_pager_left_is_removed_and_what_answers_nonsense_is_passed_over()
    {
        string left = Path.Combine(_directory, "1.sock");
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            socket.Bind(new UnixDomainSocketEndPoint(left));
        }

        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(Path.Combine(_directory, "2.sock")));
        listener.Listen(1);
        var nonsense = new Thread(() =>
        {
            using Socket asking = listener.Accept();
            asking.Send("{\"pager\": [], \"text\": \"\0"u8);
        });
        nonsense.Start();
        using StatusServer server = Start();

        Assert.Single(StatusDirectory.Ask());
        nonsense.Join();
        Assert.False(File.Exists(left));
    }

    [Fact]
    public void A_place_that_cannot_be_made_is_a_reason_and_no_failure()
    {
        Environment.SetEnvironmentVariable(StatusDirectory.Environment, "/proc/nowhere");
        Assert.Null(StatusServer.TryStart(new FixedPager(), Subject(), out string problem));
        Assert.NotEqual("", problem);
    }

    [Fact]
    public void The_JSON_has_the_documented_names()
    {
        using StatusServer server = Start();
        using JsonDocument json = JsonDocument.Parse(StatusReport.ToJson(StatusDirectory.Ask()));
        JsonElement report = Assert.Single(json.RootElement.EnumerateArray());
        Assert.Equal(
            [
                "pager", "program", "command", "started", "local", "is_captured", "sponsor", "transport", "budget_bytes", "resident_bytes", "remote_bytes",
                "faults", "hard_faults", "pages_in", "pages_out", "pages_dropped", "pages_prefetched", "prefetch_used", "prefetch_wasted", "pages_lost",
                "write_back_queue_pages", "room_waits", "reconnects", "sponsors", "sponsors_lost", "sponsors_silent", "stripes_lacking", "stripes_crowded", "spilled_bytes", "pages_corrupted",
                "pages_repaired", "reads_hedged", "hedges_won", "fault_latency_us", "failure",
            ],
            report.EnumerateObject().Select(property => property.Name));
    }

    [Fact]
    public void A_table_has_totals_or_rates()
    {
        using StatusServer server = Start();
        List<StatusReport> now = StatusDirectory.Ask();
        Assert.Equal(
            "program       pid  here    of  remote  faults  p50 us  p99 us  in  out  sponsor\n"
            + "redis-server   77  3MiB  4MiB    9MiB   5,000     0.0     0.0  70   40  10.0.0.2:7400 tcp\n",
            Plain(output => StatusTable.WritePlain(output, now)));

        var before = new Dictionary<int, StatusReport> { [now[0].Pager] = now[0] with { Faults = 3000, PagesIn = 70, PagesOut = 0 } };
        string rates = Plain(output => StatusTable.WritePlain(output, [now[0] with { Failure = "sponsor is lost" }], before, 2));
        Assert.Contains("faults/s", rates, StringComparison.Ordinal);
        Assert.Matches(@" 1,000 .* 0 +20 ", rates);
        Assert.EndsWith("redis-server (77): sponsor is lost\n", rates, StringComparison.Ordinal);

        // One that was not there the last time has no rate yet.
        Assert.Contains(" - ", Plain(output => StatusTable.WritePlain(output, now, new Dictionary<int, StatusReport>(), 2)), StringComparison.Ordinal);
    }

    private static string Plain(Action<TextWriter> write)
    {
        var text = new StringBuilder();
        using var writer = new StringWriter(text) { NewLine = "\n" };
        write(writer);
        return text.ToString();
    }

    private static StatusSubject Subject() => new()
    {
        Command = "/usr/bin/redis-server",
        Local = "4MiB",
        IsCaptured = true,
        Sponsor = "10.0.0.2:7400",
        Program = 77,
    };

    private static StatusServer Start()
    {
        StatusServer? server = StatusServer.TryStart(new FixedPager(), Subject(), out string problem);
        Assert.True(server is not null, problem);
        return server;
    }

    private sealed class FixedPager : IPagerHost
    {
        public string SocketPath => "";

        public string? Failure => null;

        public IReadOnlyList<int> Programs => [];

        public bool IsServing => false;

        public IReadOnlyList<SegmentReport> Segments() => [];

        public string? ResizeSegment(Guid id, long bytes, SegmentChange change) => null;

        public PagerSnapshot Snapshot() => new()
        {
            Transport = "tcp",
            TransportReason = "",
            Faults = 5000,
            PagesIn = 70,
            PagesOut = 40,
            BudgetBytes = 4L << 20,
            ResidentBytes = 3L << 20,
            RemoteBytes = 9L << 20,
        };

        public void CopyLatencies(LatencyHistogram target)
        {
        }

        public void Dispose()
        {
        }
    }
}
