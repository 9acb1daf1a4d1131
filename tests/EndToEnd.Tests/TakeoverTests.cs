using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>The pager is killed under a program, or replaced, and the program goes on with another.</summary>
public sealed class TakeoverTests : IDisposable
{
    private const int SIGSTOP = 19;
    private const int SIGCONT = 18;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(240);

    private readonly string _runtime = Directory.CreateTempSubdirectory("heca-test-takeover-").FullName;
    private readonly SponsorProcess _sponsor = new("1GiB");
    private readonly List<SponsorProcess> _more = [];
    private readonly List<Process> _started = [];

    public TakeoverTests() => Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");

    public void Dispose()
    {
        foreach (Process process in _started)
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }

            process.Dispose();
        }

        _sponsor.Dispose();
        _more.ForEach(sponsor => sponsor.Dispose());
        Directory.Delete(_runtime, recursive: true);
    }

    [Fact]
    public void A_random_walk_whose_pager_is_killed_twenty_times_finds_every_byte_right()
    {
        Process pager = StartPager();
        Process run = Start("run", "--local", "16MiB", "--stats", "--", Programs.Unaware, "walk", "64", "64", "input");
        HecaRun.WaitUntilRemote(run.Id, 32L << 20, _runtime);
        for (int kills = 0; kills < 20; kills++)
        {
            Thread.Sleep(300);
            Assert.False(run.HasExited, $"the walk ended before it lost its pager {kills + 1} times; {(run.HasExited ? run.StandardError.ReadToEnd() : "")}");
            pager = Replace(pager);
        }

        run.StandardInput.Close();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        EndsWell(run);
        Assert.Contains(" 0 lost", run.StandardError.ReadToEnd(), StringComparison.Ordinal);
        Assert.Equal(0, End(pager));
    }

    [Fact]
    public void Sponsored_memory_that_was_asked_for_is_taken_over_too()
    {
        Process pager = StartPager();
        Process run = Start("run", "--local", "8MiB", "--", Programs.Sample, "8000000");
        HecaRun.WaitUntilRemote(run.Id, 16L << 20, _runtime);
        for (int kills = 0; kills < 3 && !run.HasExited; kills++)
        {
            Thread.Sleep(300);
            pager = Replace(pager);
        }

        string? told = run.StandardOutput.ReadLine();
        Assert.True(told == "ok", told ?? run.StandardError.ReadToEnd());
        EndsWell(run);
        Assert.Equal(0, End(pager));
    }

    /// <summary>Threads that allocate, free, resize and give up all the time: what a pager has done and not answered, or begun and not finished, the next one is asked again.</summary>
    [Fact]
    public async Task A_program_that_changes_its_segments_all_the_time_never_notices_that_its_pager_was_killed_ten_times()
    {
        Process pager = StartPager();
        Process run = Start("run", "--local", "16MiB", "--stats", "--", Programs.Checker("asked"), "32", "4", "1", "2");
        Task<string> said = run.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        HecaRun.WaitUntilRemote(run.Id, 4L << 20, _runtime);
        for (int kills = 0; kills < 10; kills++)
        {
            Thread.Sleep(300);
            Assert.False(run.HasExited, $"the program ended before it lost its pager {kills + 1} times: {(run.HasExited ? await said + await run.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken) : "")}");
            pager = Replace(pager);
        }

        run.StandardInput.Close();
        Assert.True(run.WaitForExit(s_deadline), "heca run does not end");
        string told = await said + await run.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        Assert.True(run.ExitCode == 0 && told.Contains("\nok", StringComparison.Ordinal), told);
        Assert.Contains(" 0 lost", told, StringComparison.Ordinal);
        Assert.Equal(0, End(pager));
    }

    [Fact]
    public async Task Redis_serves_on_while_its_pager_is_killed_under_a_benchmark()
    {
        Capability.Require("redis", File.Exists("/usr/bin/redis-server") && File.Exists("/usr/bin/redis-benchmark"), "redis-server and redis-tools are not installed");
        string port = FreePort().ToString(CultureInfo.InvariantCulture);
        Process pager = StartPager();
        Process run = Start("run", "--local", "32MiB", "--", "redis-server", "--port", port, "--save", "", "--appendonly", "no", "--enable-debug-command", "yes");
        await Answers(port, run);
        Assert.Equal("OK", Redis(port, "debug", "populate", "100000", "key", "1000"));
        string digest = Redis(port, "debug", "digest");

        Process benchmark = StartProgram("redis-benchmark", "-p", port, "--dbnum", "1", "-t", "set,get", "-r", "50000", "-d", "1000", "-n", "60000", "-q");
        Task<string> output = benchmark.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), error = benchmark.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await Task.Delay(1000, TestContext.Current.CancellationToken);
        pager = Replace(pager);
        string told = await output.WaitAsync(s_deadline, TestContext.Current.CancellationToken), wrong = await error;
        Assert.True(benchmark.WaitForExit(s_deadline), "the benchmark does not end");
        Assert.True(benchmark.ExitCode == 0 && wrong.Length == 0 && !told.Contains("ERR", StringComparison.Ordinal), told + wrong);

        Assert.Equal("OK", Redis(port, "-n", "1", "flushdb"));
        Assert.Equal(digest, Redis(port, "debug", "digest"));
        _ = Redis(port, "shutdown", "nosave");
        EndsWell(run);
        Assert.Equal(0, End(pager));
    }

    /// <summary>A child that reads, a child that writes, and one of that one's own; the program itself has lost a pager before it forked.</summary>
    [Fact]
    public void Children_of_a_program_whose_pager_is_killed_ten_times_find_their_memory_as_it_was_when_they_were_forked()
    {
        Process pager = StartPager();
        Process run = StartFamily();
        pager = Replace(pager);
        run.StandardInput.WriteLine();
        string? forked = run.StandardOutput.ReadLine();
        Assert.True(forked == "forked", forked is null ? $"it ended: {run.StandardError.ReadToEnd()}" : forked);
        for (int kills = 0; kills < 10; kills++)
        {
            Thread.Sleep(300);
            Assert.False(run.HasExited, $"the program ended before it lost its pager {kills + 1} times; {(run.HasExited ? run.StandardError.ReadToEnd() : "")}");
            pager = Replace(pager);
        }

        run.StandardInput.Close();
        string? said = run.StandardOutput.ReadLine();
        EndsWell(run);
        string told = run.StandardError.ReadToEnd();
        Assert.True(said == "ok", said + told);
        Assert.Contains(" 0 lost", told, StringComparison.Ordinal);
        Assert.DoesNotContain("was stopped", told, StringComparison.Ordinal);
        Assert.Equal(0, End(pager));
    }

    /// <summary>It cannot say that it is there; what it has in slots nobody keeps for ever. The others wait for it, and then go on.</summary>
    [Fact]
    public void A_child_that_does_not_come_to_the_next_pager_is_stopped_and_the_others_go_on()
    {
        Process pager = StartPager();
        Process run = StartFamily();
        run.StandardInput.WriteLine();
        Assert.Equal("forked", run.StandardOutput.ReadLine());
        int program = ChildrenOf(run.Id).Single(), reader = ChildrenOf(program).Min();
        Assert.Equal(0, Libc.Kill(reader, SIGSTOP));
        pager.Kill();
        pager = StartPager();
        run.StandardInput.Close();
        Assert.Equal("ok, 1 killed", run.StandardOutput.ReadLine());
        EndsWell(run);
        Assert.Contains(" 0 lost", run.StandardError.ReadToEnd(), StringComparison.Ordinal);
        Assert.Equal(0, Libc.Kill(pager.Id, Libc.SIGTERM));
        Assert.Contains($"Process {reader} was stopped", pager.StandardError.ReadToEnd(), StringComparison.Ordinal);
    }

    /// <summary>The parent, too, may be who does not come, or it has ended: its children go on without it.</summary>
    [Fact]
    public void Children_whose_parent_has_ended_go_on_with_another_pager()
    {
        Process pager = StartPager();
        Process run = StartFamily();
        run.StandardInput.WriteLine();
        Assert.Equal("forked", run.StandardOutput.ReadLine());
        int program = ChildrenOf(run.Id).Single();
        int[] children = ChildrenOf(program);
        int[] family = [.. children, .. children.SelectMany(ChildrenOf)];
        Assert.Equal(3, family.Length);
        Assert.Equal(0, Libc.Kill(program, Libc.SIGKILL));
        for (int kills = 0; kills < 3; kills++)
        {
            pager = Replace(pager);
            Thread.Sleep(500);
            Assert.All(family, process => Assert.True(Directory.Exists($"/proc/{process}"), $"process {process} has ended"));
        }

        Array.ForEach(family, process => Libc.Kill(process, Libc.SIGKILL));
        Assert.True(run.WaitForExit(s_deadline), "heca run does not end");
        string told = run.StandardOutput.ReadToEnd() + run.StandardError.ReadToEnd();
        Assert.DoesNotContain("word", told, StringComparison.Ordinal);
        Assert.DoesNotContain("was stopped", told, StringComparison.Ordinal);
        Assert.Equal(0, End(pager));
    }

    /// <summary>Pages that are under way stay so while their sponsor is stopped, and what the pager has read of changes waits for them.</summary>
    [Fact]
    public void Changes_of_the_address_space_that_a_pager_has_read_and_not_carried_out_are_carried_out_by_the_next()
    {
        Process pager = StartPager();
        Process run = Start("run", "--local", "16MiB", "--stats", "--", Programs.Interrupted, "64");
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        HecaRun.WaitUntilRemote(run.Id, 32L << 20, _runtime);
        Assert.Equal(0, Libc.Kill(_sponsor.Id, SIGSTOP));
        run.StandardInput.WriteLine();
        Assert.Equal("changed", run.StandardOutput.ReadLine());
        int pending = ChangesPendingOf(ChildrenOf(run.Id).Single());
        pager.Kill();
        Assert.True(pending > 0, "all was carried out: nothing was under way");
        Assert.Equal(0, Libc.Kill(_sponsor.Id, SIGCONT));
        pager = StartPager();

        run.StandardInput.Close();
        string? said = run.StandardOutput.ReadLine();
        EndsWell(run);
        string told = run.StandardError.ReadToEnd();
        Assert.True(said == "ok", said + told);
        Assert.Contains(" 0 lost", told, StringComparison.Ordinal);
        Assert.Equal(0, End(pager));
    }

    /// <summary>As a daemon does that was started by root: it may not reach the socket nor make a userfaultfd as it did before.</summary>
    [Fact]
    public void A_program_that_gives_up_its_rights_forks_and_survives_its_pager()
    {
        // As /run is.
        File.SetUnixFileMode(_runtime, File.GetUnixFileMode(_runtime) | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        Process pager = StartPager();
        Process run = StartFamily(asUser: 65_534);
        run.StandardInput.WriteLine();
        Assert.Equal("forked", run.StandardOutput.ReadLine());
        for (int kills = 0; kills < 2; kills++)
        {
            pager = Replace(pager);
            Thread.Sleep(300);
        }

        run.StandardInput.Close();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        EndsWell(run);
        Assert.Equal(0, End(pager));
    }

    /// <summary>Each page is on two of three sponsors. Every other time one of those goes along with the pager, and comes back empty.</summary>
    [Fact]
    public void A_program_and_its_children_survive_their_pager_and_one_of_their_sponsors_at_once()
    {
        _more.AddRange([new("1GiB"), new("1GiB")]);
        SponsorProcess[] sponsors = [_sponsor, .. _more];
        Process pager = StartPager("--replicas", "2");
        Process run = StartFamily();
        run.StandardInput.WriteLine();
        Assert.Equal("forked", run.StandardOutput.ReadLine());
        for (int kills = 0; kills < 6; kills++)
        {
            HecaRun.WaitUntil(run.Id, report => report.GetProperty("remote_bytes").GetInt64() > 0 && report.GetProperty("stripes_lacking").GetInt64() == 0, "the stripes do not become whole", _runtime);
            Thread.Sleep(300);
            Assert.False(run.HasExited, $"the program ended before it lost its pager {kills + 1} times; {(run.HasExited ? run.StandardError.ReadToEnd() : "")}");
            pager.Kill();
            SponsorProcess? lost = kills % 2 == 0 ? sponsors[kills / 2] : null;
            lost?.Kill();
            pager = StartPager("--replicas", "2");
            lost?.StartAgain();
        }

        run.StandardInput.Close();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        EndsWell(run);
        string told = run.StandardError.ReadToEnd();
        Assert.Contains(" 0 lost", told, StringComparison.Ordinal);
        Assert.DoesNotContain("was stopped", told, StringComparison.Ordinal);
        Assert.Equal(0, End(pager));
    }

    [Fact]
    public async Task A_snapshot_of_redis_goes_on_while_its_pager_is_killed()
    {
        Capability.Require("redis", File.Exists("/usr/bin/redis-server"), "redis-server and redis-tools are not installed");
        const string Keys = "20000";
        string port = FreePort().ToString(CultureInfo.InvariantCulture), plainPort = FreePort().ToString(CultureInfo.InvariantCulture);
        string[] redis = ["redis-server", "--save", "", "--appendonly", "no", "--dir", _runtime, "--enable-debug-command", "yes"];
        Process pager = StartPager();
        Process run = Start(["run", "--local", "12MiB", "--stats", "--", .. redis, "--port", port, "--rdb-key-save-delay", "250"]);
        Task<string> output = run.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), error = run.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await Answers(port, run, output, error);
        Assert.Equal("OK", Redis(port, "debug", "populate", Keys, "key", "1000"));
        string digest = Redis(port, "debug", "digest");
        Assert.Contains("started", Redis(port, "bgsave"), StringComparison.Ordinal);
        for (int kills = 0; kills < 4; kills++)
        {
            await Task.Delay(500, TestContext.Current.CancellationToken);
            Assert.Contains("rdb_bgsave_in_progress:1", Redis(port, "info", "persistence"), StringComparison.Ordinal);
            pager = Replace(pager);
            Assert.Equal("OK", Redis(port, "eval", $"for i={kills},{Keys}-1,4 do redis.call('setrange','key:'..i,0,'changed {kills}') end return redis.status_reply('OK')", "0"));
        }

        for (long end = Environment.TickCount64 + (long)s_deadline.TotalMilliseconds; !Redis(port, "info", "persistence").Contains("rdb_bgsave_in_progress:0", StringComparison.Ordinal);)
        {
            Assert.True(Environment.TickCount64 < end, "the snapshot does not end");
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        Assert.Contains("rdb_last_bgsave_status:ok", Redis(port, "info", "persistence"), StringComparison.Ordinal);
        Assert.NotEqual(digest, Redis(port, "debug", "digest"));
        _ = Redis(port, "shutdown", "nosave");
        EndsWell(run);
        Assert.Contains(" 0 lost", await output + await error, StringComparison.Ordinal);
        Assert.Equal(0, End(pager));

        Process plain = StartProgram(redis[0], [.. redis[1..], "--port", plainPort]);
        await Answers(plainPort, plain);
        Assert.Equal((Keys, digest), (Redis(plainPort, "dbsize"), Redis(plainPort, "debug", "digest")));
        _ = Redis(plainPort, "shutdown", "nosave");
        EndsWell(plain);
    }

    [Fact]
    public void An_upgrade_in_place_ends_the_old_pager_and_keeps_its_programs()
    {
        Process pager = StartPager();
        Process run = Start("run", "--local", "8MiB", "--stats", "--", Programs.Unaware, "still", "64");
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        run.StandardInput.WriteLine();
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        HecaRun.WaitUntilRemote(run.Id, 32L << 20, _runtime);

        Process next = StartPager("--takeover");
        Assert.True(pager.WaitForExit(s_deadline), "the old pager goes on");
        run.StandardInput.WriteLine();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        EndsWell(run);
        Assert.Contains(" 0 lost", run.StandardError.ReadToEnd(), StringComparison.Ordinal);
        Assert.Equal(0, End(next));
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_runtime, "pager")));
    }

    [Fact]
    public void A_program_whose_sponsor_was_restarted_meanwhile_is_stopped()
    {
        Process pager = StartPager();
        Process run = Start("run", "--local", "8MiB", "--stop-after", "3", "--", Programs.Unaware, "still", "64");
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        run.StandardInput.WriteLine();
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        HecaRun.WaitUntilRemote(run.Id, 32L << 20, _runtime);

        pager.Kill();
        _sponsor.Kill();
        _sponsor.StartAgain();
        Process next = StartPager();
        run.StandardInput.WriteLine();
        Assert.True(run.WaitForExit(s_deadline), "the program goes on without its memory");
        Assert.NotEqual(0, run.ExitCode);
        Assert.DoesNotContain("ok", run.StandardOutput.ReadToEnd(), StringComparison.Ordinal);
        Assert.Contains("its pager is gone and did not come back", run.StandardError.ReadToEnd(), StringComparison.Ordinal);
        next.Kill();
        string told = next.StandardError.ReadToEnd();
        Assert.True(told.Contains("the sponsor was restarted, or is another", StringComparison.Ordinal), told);
    }

    /// <summary>Kills a pager and starts the next, as a supervisor would.</summary>
    private Process Replace(Process pager)
    {
        pager.Kill();
        return StartPager();
    }

    /// <summary>As the page tables say that a process holds.</summary>
    private static int ChangesPendingOf(int process)
    {
        string path = Directory.EnumerateFiles($"/proc/{process}/fd").First(path => new FileInfo(path).LinkTarget?.Contains(PageTableFile.Name, StringComparison.Ordinal) == true);
        using var handle = File.OpenHandle(path);
        using var tables = PageTableFile.Open((int)handle.DangerousGetHandle());
        return tables.Changes.Length;
    }

    private Process StartFamily(int asUser = 0)
    {
        Process run = Start("run", "--local", "16MiB", "--stats", "--", Programs.Unaware, "family", "64", $"{asUser}");
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        HecaRun.WaitUntilRemote(run.Id, 32L << 20, _runtime);
        return run;
    }

    private static int[] ChildrenOf(int process) =>
    [
        .. File.ReadAllText($"/proc/{process}/task/{process}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries)
            .Select(child => int.Parse(child, CultureInfo.InvariantCulture)),
    ];

    private Process StartPager(params string[] more)
    {
        Process pager = Start(["pager", .. HecaRun.Naming([_sponsor, .. _more]), "--log-level", "error", .. more]);
        Assert.StartsWith("pager ready", pager.StandardOutput.ReadLine(), StringComparison.Ordinal);
        return pager;
    }

    private static void EndsWell(Process run)
    {
        Assert.True(run.WaitForExit(s_deadline), "heca run does not end");
        Assert.Equal(0, run.ExitCode);
    }

    private static int End(Process pager)
    {
        Assert.Equal(0, Libc.Kill(pager.Id, Libc.SIGTERM));
        Assert.True(pager.WaitForExit(s_deadline), "the pager does not end");
        return pager.ExitCode;
    }

    /// <param name="port">Where it listens.</param>
    /// <param name="server">Itself, or who runs it.</param>
    /// <param name="told">What it says, where somebody reads it already.</param>
    private async Task Answers(string port, Process server, params Task<string>[] told)
    {
        for (long end = Environment.TickCount64 + (long)s_deadline.TotalMilliseconds; Redis(port, "ping") != "PONG";)
        {
            Assert.True(Environment.TickCount64 < end, "redis does not answer");
            Assert.False(server.HasExited, server.HasExited ? $"redis has ended, with {server.ExitCode}: {string.Join("", await Task.WhenAll(told))}" : "");
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }
    }

    private string Redis(string port, params string[] arguments)
    {
        using Process client = StartProgram("redis-cli", ["-p", port, .. arguments]);
        _ = _started.Remove(client);
        string answer = client.StandardOutput.ReadToEnd().Trim();
        client.WaitForExit();
        return answer;
    }

    private static int FreePort()
    {
        using var probe = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        probe.Start();
        return ((System.Net.IPEndPoint)probe.LocalEndpoint).Port;
    }

    private Process Start(params string[] arguments) => StartProgram(Programs.Heca, arguments);

    private Process StartProgram(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["HECA_RUNTIME_DIR"] = _runtime;
        var process = Process.Start(start)!;
        _started.Add(process);
        return process;
    }
}
