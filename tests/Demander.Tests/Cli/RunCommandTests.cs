using System.Diagnostics;
using System.Runtime.InteropServices;
using Hecatonchire.Cli;
using Hecatonchire.Cli.Run;
using Hecatonchire.Interop;
using Hecatonchire.Lending;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Tests.Host;
using Hecatonchire.Transport;
using Xunit;

namespace Hecatonchire.Tests.Cli;

/// <summary>
/// `heca run` with real programs that use no sponsored memory: their exit status, their environment, the signals they get and
/// what is left afterwards. The pager of these tests has nothing to do.
/// </summary>
[Collection(ProcessSignals.Name)]
public sealed class RunCommandTests : IDisposable
{
    private const UnixFileMode ForThisUserOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(20);

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-").FullName;
    private readonly List<IdlePager> _pagers = [];
    private readonly List<OwnSponsor> _sponsors = [];
    private string? _failure;
    private Action? _atDisposal;

    public RunCommandTests() => HostCapability.Require("userfaultfd", HostIsFit(), "`heca run` refuses this host: see `heca check`");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(0, "exit 0")]
    [InlineData(7, "exit 7")]
    [InlineData(255, "exit 255")]
    [InlineData(128 + 15, "kill -TERM $$")]
    [InlineData(128 + 9, "kill -KILL $$")]
    [InlineData(128 + 7, "kill -BUS $$")]
    public void The_status_is_the_programs(int status, string script) => Assert.Equal(status, Run("sh", "-c", script));

    /// <summary>The status as well where nobody else tells: a pager that could not go on makes that of `heca run` 1.</summary>
    [Fact]
    public void Figures_for_scripts_have_the_programs_time_and_its_status()
    {
        string file = Path.Combine(_directory, "figures.json");
        _failure = "the sponsor is gone";
        long started = Stopwatch.GetTimestamp();
        Assert.Equal(1, Run(["--stats-json", file], "sh", "-c", "sleep 0.2; exit 7"));
        RunFigures figures = RunFigures.Read(file)!;
        Assert.Equal((7, "the sponsor is gone"), (figures.ExitStatus, figures.Figures.Failure));
        Assert.InRange(figures.ElapsedS, 0.2, Stopwatch.GetElapsedTime(started).TotalSeconds);
        Assert.Contains("\"elapsed_s\":", File.ReadAllText(file), StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_for_figures_that_cannot_be_written_is_told_before_the_program_runs()
    {
        string trace = Path.Combine(_directory, "trace");
        Assert.Equal(2, Run(["--stats-json", "/no/such/directory/figures.json"], "touch", trace));
        Assert.False(File.Exists(trace));
        Assert.Empty(_pagers);
    }

    [Fact]
    public void A_file_that_the_kernel_refuses_to_execute_is_126_and_leaves_nothing()
    {
        string path = Path.Combine(_directory, "garbage");
        File.WriteAllText(path, "no program\n");
        File.SetUnixFileMode(path, ForThisUserOnly);
        Assert.Equal(126, Run(path));
        CheckNothingIsLeft();
    }

    [Fact]
    public void The_program_gets_its_arguments_unchanged_and_finds_the_pager_and_the_library()
    {
        string result = Path.Combine(_directory, "result");
        Assert.Equal(0, Run("sh", "-c", "printf '%s\\n' \"$HECA_SOCKET\" \"${LD_LIBRARY_PATH##*:}\" \"$@\" > \"$0\"", result, "--local", "@x", "--", "a b"));
        string[] lines = File.ReadAllLines(result);
        Assert.Equal([_pagers.Single().SocketPath, AppContext.BaseDirectory.TrimEnd('/'), "--local", "@x", "--", "a b"], lines);
    }

    /// <summary>But for 32 and 33, which belong to the C library, and which some parents (make) leave ignored.</summary>
    [Fact]
    public void The_program_starts_with_no_signal_ignored_or_blocked() =>
        Assert.Equal(0, Run("grep", "-Pzq", "SigBlk:\\t0{16}\\nSigIgn:\\t0{7}[01][08]0{7}\\n", "/proc/self/status"));

    [Fact]
    public void The_pager_is_started_as_the_options_say()
    {
        Assert.Equal(0, Run(["--local", "1:8", "--prefetch", "window", "--stop-after", "2.5", "--memory", "3GiB"], "true"));
        PagerOptions options = _pagers.Single().Options;
        Assert.Equal("1:8", options.Local.ToString());
        Assert.Equal(global::Hecatonchire.Prefetch.PrefetchKind.Window, options.Prefetch);
        Assert.Equal(TimeSpan.FromSeconds(2.5), options.StopProgramAfter);
        Assert.Equal(3L << 30, _sponsors.Single().Bytes);
        Assert.Equal(_sponsors.Single().Borrowing, options.Borrowing);
    }

    [Fact]
    public void A_pager_that_failed_is_status_1_however_the_program_ended()
    {
        _failure = "the sponsor is gone";
        Assert.Equal(1, Run("sh", "-c", "kill -BUS $$"));
        Assert.Equal(1, Run("true"));
        CheckNothingIsLeft();
    }

    [Fact]
    public void Nothing_is_left_when_the_pager_does_not_start()
    {
        RunCommand command = new((_, _) => throw new PagerStartException("no room", 3), StartSponsor);
        Assert.Equal(3, Invoke(command, [], ["true"]));
        Assert.True(_sponsors.Single().Disposed);
    }

    [Theory]
    [InlineData("USR1", 10)]
    [InlineData("USR2", 12)]
    [InlineData("HUP", 1)]
    [InlineData("TERM", 15)]
    public async Task A_signal_to_us_reaches_the_program_and_its_answer_is_the_status(string name, int number)
    {
        // The shell runs a trap at once only while it waits for a child in the background.
        string ready = Path.Combine(_directory, "ready");
        string script = $"sleep 20 & trap \"kill $!; exit 42\" {name}; : > \"$0\"; wait";
        Task<int> run = Task.Run(() => Run("sh", "-c", script, ready));
        await Until(() => File.Exists(ready) || run.IsCompleted);
        Assert.False(run.IsCompleted);
        Assert.Equal(0, Libc.Kill(Environment.ProcessId, number));
        Assert.Equal(42, await run.WaitAsync(TimeMax));
        CheckNothingIsLeft();
    }

    [Fact]
    public void A_signal_that_comes_after_the_program_has_gone_is_for_nobody()
    {
        using var handled = new ManualResetEventSlim();
        _atDisposal = () =>
        {
            // Handlers of one signal run in the order of their registration: when ours runs, the forwarder's has.
            using var registration = PosixSignalRegistration.Create(PosixSignal.SIGHUP, context =>
            {
                context.Cancel = true;
                handled.Set();
            });
            Assert.Equal(0, Libc.Kill(Environment.ProcessId, 1));
            Assert.True(handled.Wait(TimeMax));
        };
        Assert.Equal(7, Run("sh", "-c", "exit 7"));
        Assert.True(handled.IsSet);
        CheckNothingIsLeft();
    }

    private static async Task Until(Func<bool> state)
    {
        for (long start = Stopwatch.GetTimestamp(); !state(); await Task.Yield())
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < TimeMax, "not within the deadline");
        }
    }

    private static bool HostIsFit() => Hecatonchire.Host.HostRequirements.FirstMissing() is null;

    private int Run(params string[] program) => Run([], program);

    private int Run(string[] options, params string[] program) => Invoke(new RunCommand(StartPager, StartSponsor), options, program);

    private static int Invoke(RunCommand command, string[] options, string[] program) =>
        HecaCommandLine.Invoke(HecaCommandLine.Create(command.Create()), ["run", "--embedded", "--capture", "no", .. options, "--", .. program]);

    private void CheckNothingIsLeft()
    {
        Assert.All(_pagers, pager => Assert.True(pager.Disposed));
        Assert.All(_sponsors, sponsor => Assert.True(sponsor.Disposed));
        Assert.All(_pagers, pager => Assert.False(Directory.Exists(Path.GetDirectoryName(pager.SocketPath))));
    }

    private IdlePager StartPager(PagerOptions options, Microsoft.Extensions.Logging.ILoggerFactory loggers)
    {
        var pager = new IdlePager(options, _failure, _atDisposal);
        _pagers.Add(pager);

        // Only this user writes there. What root has started may be another user's by now, and come to the socket.
        UnixFileMode enter = Environment.IsPrivilegedProcess ? UnixFileMode.GroupExecute | UnixFileMode.OtherExecute : UnixFileMode.None;
        Assert.Equal(ForThisUserOnly | enter, File.GetUnixFileMode(Path.GetDirectoryName(options.SocketPath)!));
        Assert.NotNull(options.Owner);
        return pager;
    }

    private OwnSponsor StartSponsor(long bytes, TransportPreference transport)
    {
        var sponsor = new OwnSponsor(bytes);
        _sponsors.Add(sponsor);
        return sponsor;
    }

    private sealed class IdlePager(PagerOptions options, string? failure, Action? atDisposal) : IPagerHost
    {
        public PagerOptions Options => options;

        public bool Disposed { get; private set; }

        public string SocketPath => options.SocketPath;

        public string? Failure => failure;

        public IReadOnlyList<int> Programs => [];

        public bool IsServing => false;

        public IReadOnlyList<SegmentReport> Segments() => [];

        public string? ResizeSegment(Guid id, long bytes, SegmentChange change) => null;

        public PagerSnapshot Snapshot() => default;

        public void CopyLatencies(LatencyHistogram target)
        {
        }

        public void Dispose()
        {
            atDisposal?.Invoke();
            Disposed = true;
        }
    }

    private sealed class OwnSponsor(long bytes) : ISponsorSource
    {
        public long Bytes => bytes;

        public bool Disposed { get; private set; }

        public Borrowing Borrowing { get; } = Borrowing.From(new SponsorEndpoint("127.0.0.1", 7400, new string('0', 40)));

        public void Dispose() => Disposed = true;
    }
}
