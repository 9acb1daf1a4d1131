using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.RegularExpressions;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>Programs that know nothing of heca, from Debian's packages and from a compiler, with more memory than they may have here.</summary>
public sealed partial class CaptureTests : IDisposable
{
    private const int SIGKILL = 9;
    private const int SIGTERM = 15;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    private readonly SponsorProcess _sponsor = new("1GiB");

    public CaptureTests() => Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");

    public void Dispose() => _sponsor.Dispose();

    [Theory]
    [InlineData("16MiB", "walk 64 30000")]
    [InlineData("1:4", "walk 64 30000")]
    [InlineData("12MiB", "churn 96 3000 4")]
    [InlineData("8MiB", "churn 48 4000 1")]
    [InlineData("24MiB", "stack 96")]
    [InlineData("24MiB", "stack 96 1")]
    public void Every_byte_is_right_whatever_the_program_does_to_its_address_space(string local, string mode)
    {
        // On a busy host the program can be through before it is captured; then this shows nothing, and it runs again.
        string error = "";
        for (int tries = 0; tries < 10; tries++)
        {
            (int status, string output, error) = Run(["--local", local, "--stats"], [Programs.Unaware, .. mode.Split(' ')]);
            Assert.Equal((0, "ok\n"), (status, output));
            if (PagesOut(error) > 500)
            {
                return;
            }
        }

        Assert.Fail("ten runs, and no memory was paged: " + error);
    }

    /// <summary>
    /// setpriv keeps its capabilities through setresuid, as daemons do: that is for its one thread, and the C library aborts where another, the evictor, may not do the same.
    /// What it starts has another user than `heca run`.
    /// </summary>
    [Fact]
    public void A_program_may_become_another_user_and_keep_some_of_its_rights()
    {
        // The right to make a userfaultfd, and to reach this file.
        const string rights = "+sys_ptrace,+dac_read_search";
        (int status, string output, string error) = Run(
            ["--local", "16MiB", "--stats"],
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=" + rights, "--ambient-caps=" + rights, Programs.Unaware, "walk", "64", "30000"]);
        Assert.True((status, output) == (0, "ok\n"), $"{status} {output} {error}");
        Assert.DoesNotContain("cannot be captured", error, StringComparison.Ordinal);
    }

    /// <summary>The bound is for all the program has, with some room for what it makes while it is not yet captured.</summary>
    [Fact]
    public void The_program_stays_within_its_bound_once_it_is_captured()
    {
        using Process heca = Start(["--local", "32MiB"], [Programs.Unaware, "still", "160"]);
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        int program = ChildOf(heca.Id);
        Assert.True(SpinWait.SpinUntil(() => AnonymousMiB(program) <= 40, Deadline), $"{AnonymousMiB(program)} MiB are resident");

        heca.StandardInput.WriteLine();
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        Assert.True(SpinWait.SpinUntil(() => AnonymousMiB(program) <= 40, Deadline), $"{AnonymousMiB(program)} MiB are resident");
        heca.StandardInput.WriteLine();
        Assert.Equal("ok", heca.StandardOutput.ReadLine());
        Assert.True(heca.WaitForExit(Deadline));
        Assert.Equal(0, heca.ExitCode);
    }

    [Fact]
    public void A_program_that_never_comes_near_its_bound_is_not_touched()
    {
        (int status, string output, string error) = Run(["--local", "512MiB", "--stats"], [Programs.Unaware, "walk", "64", "20000"]);
        Assert.Equal((0, "ok\n"), (status, output));
        Assert.Contains("faults         0:", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_sponsor_that_is_full_lets_the_program_grow_here()
    {
        using var small = new SponsorProcess("64MiB");
        using Process heca = HecaRun.Start(small, "", "--local", "16MiB", "--", Programs.Unaware, "still", "160");
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        heca.StandardInput.WriteLine();
        Assert.Contains("no more memory to lend", heca.StandardError.ReadLine() ?? "", StringComparison.Ordinal);
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        heca.StandardInput.WriteLine();
        Assert.Equal("ok", heca.StandardOutput.ReadLine());
        Assert.True(heca.WaitForExit(Deadline));
        Assert.Equal(0, heca.ExitCode);
    }

    /// <summary>Each child finds what there was when it was forked, and parent and child change their own from then on.</summary>
    [Theory]
    [InlineData("16MiB", "fork 48 12")]
    [InlineData("1:4", "fork 64 6")]
    public void A_forked_child_has_its_parents_memory_as_it_was(string local, string mode)
    {
        (int status, string output, string error) = Run(["--local", local, "--stats"], [Programs.Unaware, .. mode.Split(' ')]);
        Assert.Equal((0, "ok\n"), (status, output));
        Assert.True(PagesOut(error) > 500, error);
    }

    [Fact]
    public void A_captured_program_forks_and_starts_others()
    {
        const string Script = """
            import os, subprocess, sys
            a = bytearray(80 << 20)
            a[::4096] = b'x' * len(a[::4096])
            child = os.fork()
            if child == 0:
                ok = a[::4096] == b'x' * len(a[::4096])
                a[::4096] = b'y' * len(a[::4096])
                os._exit(0 if ok and a[::4096] == b'y' * len(a[::4096]) else 1)
            a[4096] = ord('z')
            print(os.waitpid(child, 0)[1])
            print(subprocess.run(['echo', 'spawned'], capture_output=True, text=True).stdout.strip())
            print(subprocess.run(['echo', 'forked'], capture_output=True, text=True, preexec_fn=lambda: None).stdout.strip())
            os.closerange(3, 4096)
            a[4096] = ord('x')
            print(a[::4096] == b'x' * len(a[::4096]))
            """;
        (int status, string output, string error) = Run(["--local", "24MiB"], [Python, "-c", Script]);
        Assert.Equal((0, "0\nspawned\nforked\nTrue\n", ""), (status, output, error));
    }

    /// <summary>Who becomes a daemon is served on: heca waits for it.</summary>
    [Fact]
    public void A_child_outlives_its_parent()
    {
        const string Script = """
            import os, sys, time
            a = bytearray(80 << 20)
            a[::4096] = b'x' * len(a[::4096])
            if os.fork() != 0:
                os._exit(3)
            time.sleep(1)
            print(a[::4096] == b'x' * len(a[::4096]), flush=True)
            """;
        (int status, string output, string error) = Run(["--local", "24MiB"], [Python, "-c", Script]);
        Assert.Equal((3, "True\n", ""), (status, output, error));
    }

    [Fact]
    public void What_the_program_starts_before_it_is_captured_runs_as_ever()
    {
        (int status, string output, string error) = Run([], ["bash", "-c", "(echo sub); /bin/echo $(echo two); exec /bin/echo three"]);
        Assert.Equal((0, "sub\ntwo\nthree\n", ""), (status, output, error));
    }

    [Fact]
    public void A_killed_sponsor_is_a_SIGBUS_and_a_reason()
    {
        using Process heca = Start(["--local", "32MiB"], [Programs.Unaware, "still", "128"]);
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        heca.StandardInput.WriteLine();
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        int program = ChildOf(heca.Id);
        Assert.True(SpinWait.SpinUntil(() => AnonymousMiB(program) <= 40, Deadline), $"{AnonymousMiB(program)} MiB are resident");
        _sponsor.Kill();
        heca.StandardInput.WriteLine();
        string error = heca.StandardError.ReadToEnd();
        Assert.True(heca.WaitForExit(Deadline));
        Assert.Equal(1, heca.ExitCode);
        Assert.Contains("is lost", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_killed_pager_stops_the_program_with_a_reason_and_no_zeros()
    {
        using Process heca = Start(["--local", "32MiB", "--stop-after", "1"], [Programs.Unaware, "still", "128"]);
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        heca.StandardInput.WriteLine();
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        int program = ChildOf(heca.Id);
        Assert.Equal(0, Libc.Kill(heca.Id, SIGKILL));
        heca.StandardInput.WriteLine();
        Assert.Contains("its pager is gone", heca.StandardError.ReadToEnd(), StringComparison.Ordinal);
        Assert.Equal("", heca.StandardOutput.ReadToEnd());
        Assert.True(SpinWait.SpinUntil(() => !Directory.Exists($"/proc/{program}") || IsZombie(program), Deadline), "it still runs");
    }

    [Fact]
    public void A_static_program_is_refused_with_a_way_out()
    {
        string path = Path.Combine(Path.GetTempPath(), $"heca-static-{Environment.ProcessId}");
        byte[] shell = File.ReadAllBytes("/bin/sh");
        (shell[56], shell[57]) = (0, 0);
        File.WriteAllBytes(path, shell);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        try
        {
            (int status, string _, string error) = Run([], [path]);
            Assert.Equal(3, status);
            Assert.Matches("^heca: .*statically linked.*--capture no.*\n$", error);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void Python_with_numpy_sorts_and_multiplies_as_without()
    {
        Capability.Require("numpy", Execute(Python, "-c", "import numpy").ExitCode == 0, "no python3-numpy");
        const string Script = """
            import hashlib, numpy
            a = numpy.random.default_rng(7).integers(0, 1 << 62, size=4 << 20, dtype=numpy.int64)
            a.sort()
            print(hashlib.sha256(a).hexdigest())
            m = numpy.random.default_rng(8).integers(0, 100, size=(1100, 1100)).astype(numpy.float64)
            print(hashlib.sha256(m @ m).hexdigest())
            """;
        (int _, string expected, string _) = Execute(Python, "-c", Script);
        (int status, string output, string error) = Run(["--local", "8MiB", "--stats"], [Python, "-c", Script]);
        Assert.Equal((0, expected), (status, output));
        Assert.True(PagesOut(error) > 10_000, error);
    }

    [Fact]
    public void Sqlite_in_memory_is_built_indexed_queried_and_whole()
    {
        const string Script = """
            import random, sqlite3
            c = sqlite3.connect(':memory:')
            c.execute('pragma cache_size=-2000000')
            c.execute('create table t(id integer primary key, k integer, v blob)')
            r = random.Random(1)
            c.executemany('insert into t(k, v) values(?, ?)', ((r.randrange(1 << 30), r.randbytes(900)) for _ in range(40000)))
            c.execute('create index i on t(k)')
            print(c.execute('select count(*), sum(k), sum(length(v)) from t where k between 1000 and 900000000').fetchone())
            print(c.execute('pragma integrity_check').fetchone())
            """;
        (int _, string expected, string _) = Execute(Python, "-c", Script);
        (int status, string output, string error) = Run(["--local", "16MiB", "--stats"], [Python, "-c", Script]);
        Assert.Equal((0, expected), (status, output));
        Assert.Contains("ok", output, StringComparison.Ordinal);
        Assert.True(PagesOut(error) > 5_000, error);
    }

    /// <summary>1 GiB of values, a quarter of it here: a snapshot while clients write is what there was when it began, as a redis finds that runs without heca.</summary>
    [Fact]
    public async Task Redis_snapshots_while_it_is_written()
    {
        Capability.Require("redis", File.Exists("/usr/bin/redis-server") && File.Exists("/usr/bin/redis-benchmark"), "no redis-server, or no redis-tools");
        // A quarter of it where time is short: see docs/testing.md.
        bool isShort = Environment.GetEnvironmentVariable("HECA_SHORT") == "1";
        string values = isShort ? "65536" : "262144";
        DirectoryInfo directory = Directory.CreateTempSubdirectory("heca-redis-");
        using var sponsor = new SponsorProcess("3GiB");
        try
        {
            int port = FreePort();
            string[] redis = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--dir", directory.FullName, "--enable-debug-command", "local"];
            using Process heca = HecaRun.Start(sponsor, "", ["--local", isShort ? "64MiB" : "256MiB", "--stats", "--", .. redis, "--port", $"{port}"]);
            Task<string> output = heca.StandardOutput.ReadToEndAsync(), error = heca.StandardError.ReadToEndAsync();
            Connect(port).Dispose();
            _ = Benchmark(port, "-n", values, "-r", values, "-d", "4096", "-P", "8", "-t", "set");
            string digest = RedisCli(port, "debug", "digest");
            string keys = RedisCli(port, "dbsize");
            Assert.Contains("started", RedisCli(port, "bgsave"), StringComparison.Ordinal);
            _ = Benchmark(port, "-n", isShort ? "10000" : "20000", "-r", values, "-d", "3000", "-t", "set,get");
            Assert.True(IsTrueInTime(() => RedisCli(port, "info", "persistence").Contains("rdb_bgsave_in_progress:0", StringComparison.Ordinal)), "the snapshot does not end");
            Assert.Contains("rdb_last_bgsave_status:ok", RedisCli(port, "info", "persistence"), StringComparison.Ordinal);
            Assert.NotEqual(digest, RedisCli(port, "debug", "digest"));
            _ = RedisCli(port, "shutdown", "nosave");
            Assert.True(heca.WaitForExit(Deadline), "redis did not end");
            string told = await error;
            Assert.True(heca.ExitCode == 0, await output + told);
            Assert.True(PagesOut(told) > (isShort ? 25_000 : 100_000), told);

            int plainPort = FreePort();
            using var plain = Process.Start(new ProcessStartInfo(redis[0], [.. redis[1..], "--port", $"{plainPort}"]) { RedirectStandardOutput = true })!;
            Connect(plainPort).Dispose();
            Assert.True(IsTrueInTime(() => RedisCli(plainPort, "dbsize") == keys), "the snapshot is not whole");
            Assert.Equal(digest, RedisCli(plainPort, "debug", "digest"));
            _ = RedisCli(plainPort, "shutdown", "nosave");
            Assert.True(plain.WaitForExit(Deadline));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task Memcached_keeps_every_value()
    {
        Capability.Require("memcached", File.Exists("/usr/bin/memcached"), "no memcached");
        const int Values = 30_000;
        int port = FreePort();
        using Process heca = Start(["--local", "32MiB", "--stats"], ["memcached", "-m", "512", "-l", "127.0.0.1", "-p", $"{port}", "-U", "0", "-u", Environment.UserName]);
        Task<string> error = heca.StandardError.ReadToEndAsync();
        using (TcpClient client = Connect(port))
        using (NetworkStream stream = client.GetStream())
        using (StreamReader answers = new(stream, Encoding.ASCII))
        {
            for (int i = 0; i < Values; i++)
            {
                string value = Value(i, 7);
                stream.Write(Encoding.ASCII.GetBytes($"set key:{i} 0 0 {value.Length}\r\n{value}\r\n"));
                Assert.Equal("STORED", answers.ReadLine());
            }

            for (int i = Values - 1; i >= 0; i--)
            {
                stream.Write(Encoding.ASCII.GetBytes($"get key:{i}\r\n"));
                Assert.StartsWith("VALUE ", answers.ReadLine(), StringComparison.Ordinal);
                Assert.Equal(Value(i, 7), answers.ReadLine());
                Assert.Equal("END", answers.ReadLine());
            }
        }

        Assert.Equal(0, Libc.Kill(heca.Id, SIGTERM));
        Assert.True(heca.WaitForExit(Deadline), "memcached did not end");
        string told = await error;
        Assert.True(PagesOut(told) > 10_000, told);
    }

    /// <summary>Its hogs are forked before anything is captured, and so programs of their own.</summary>
    [Fact]
    public void Stress_ng_finds_every_byte_right()
    {
        Capability.Require("stress-ng", File.Exists("/usr/bin/stress-ng"), "no stress-ng");
        (int status, string output, string error) = Run(
            ["--local", "32MiB", "--follow-children", "--stats"],
            ["stress-ng", "--vm", "2", "--vm-bytes", "256M", "--vm-method", "all", "--verify", "-t", "10"]);
        Assert.True(status == 0, output + error);
        Assert.DoesNotContain("fail", output + error, StringComparison.Ordinal);
        Assert.True(PagesOut(error) > 10_000, error);
    }

    [Fact]
    public void A_compiler_and_all_it_starts_build_the_same()
    {
        Capability.Require("gcc", File.Exists("/usr/bin/gcc"), "no gcc");
        DirectoryInfo directory = Directory.CreateTempSubdirectory("heca-gcc-");
        try
        {
            string source = Path.Combine(directory.FullName, "many.c"), alone = Path.Combine(directory.FullName, "alone.o"), sponsored = Path.Combine(directory.FullName, "sponsored.o");
            File.WriteAllLines(source, Enumerable.Range(0, 1500).Select(i =>
                $"int f{i}(int *a, int n) {{ int s = {i}; for (int i = 0; i < n; i++) {{ s += a[i] * {i + 3}; a[i] ^= s >> {i % 7}; }} return s; }}"));
            Assert.Equal(0, Execute("gcc", "-O2", "-c", source, "-o", alone).ExitCode);
            (int status, _, string error) = Run(["--local", "32MiB", "--follow-children", "--stats"], ["gcc", "-O2", "-c", source, "-o", sponsored]);
            Assert.True(status == 0, error);
            Assert.True(PagesOut(error) > 1000, error);
            Assert.Equal(File.ReadAllBytes(alone), File.ReadAllBytes(sponsored));
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static string RedisCli(int port, params string[] command) => Execute("redis-cli", ["-p", $"{port}", .. command]).Output.Trim();

    /// <summary>Asks ten times a second: each time costs a process.</summary>
    private static bool IsTrueInTime(Func<bool> condition)
    {
        for (long end = Environment.TickCount64 + (long)Deadline.TotalMilliseconds; Environment.TickCount64 < end; Thread.Sleep(100))
        {
            if (condition())
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Throws where a client has an error: the benchmark ends with another status then, or says so.</summary>
    private static string Benchmark(int port, params string[] options)
    {
        (int status, string output, string error) = Execute("redis-benchmark", ["-p", $"{port}", "-c", "8", "-q", .. options]);
        Assert.Equal((0, ""), (status, error));
        Assert.DoesNotContain("rror", output, StringComparison.Ordinal);
        return output;
    }

    [Fact]
    public async Task Redis_keeps_every_value()
    {
        Capability.Require("redis", File.Exists("/usr/bin/redis-server"), "no redis-server");
        const int Values = 20_000;
        int port = FreePort();
        using Process heca = Start(["--local", "32MiB", "--stats"], ["redis-server", "--port", $"{port}", "--bind", "127.0.0.1", "--save", ""]);
        Task<string> output = heca.StandardOutput.ReadToEndAsync(), error = heca.StandardError.ReadToEndAsync();
        using (TcpClient client = Connect(port))
        using (NetworkStream stream = client.GetStream())
        using (StreamReader answers = new(stream, Encoding.ASCII))
        {
            string? Ask(string command)
            {
                stream.Write(Encoding.ASCII.GetBytes(command + "\r\n"));
                string? line = answers.ReadLine();
                return line?.StartsWith('$') == true ? answers.ReadLine() : line;
            }

            for (int round = 0; round < 2; round++)
            {
                for (int i = round; i < Values; i += round + 1)
                {
                    Assert.Equal("+OK", Ask($"SET key:{i} {Value(i, round)}"));
                }
            }

            for (int i = Values - 1; i >= 0; i--)
            {
                Assert.Equal(Value(i, i % 2), Ask($"GET key:{i}"));
            }

            stream.Write("SHUTDOWN NOSAVE\r\n"u8);
        }

        Assert.True(heca.WaitForExit(Deadline), "redis did not end");
        string told = await error;
        Assert.True(heca.ExitCode == 0, await output + told);
        Assert.True(PagesOut(told) > 5_000, told);
    }

    private static string Python => "/usr/bin/python3";

    private static string Value(int key, int round) => new string((char)('a' + ((key + round) % 26)), 3000) + key.ToString(CultureInfo.InvariantCulture);

    private static TcpClient Connect(int port)
    {
        TcpClient? client = null;
        Assert.True(SpinWait.SpinUntil(
            () =>
            {
                try
                {
                    client = new TcpClient();
                    client.Connect(IPAddress.Loopback, port);
                    return true;
                }
                catch (SocketException)
                {
                    client!.Dispose();
                    return false;
                }
            },
            Deadline), "redis does not listen");
        client!.NoDelay = true;
        return client;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static (int ExitCode, string Output, string Error) Execute(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    private Process Start(string[] options, string[] program) => HecaRun.Start(_sponsor, "", [.. options, "--", .. program]);

    private (int Status, string Output, string Error) Run(string[] options, string[] program) =>
        HecaRun.ToEnd(_sponsor, Deadline, [.. options, "--", .. program]);

    private static int ChildOf(int parent) => int.Parse(
        Directory.GetDirectories($"/proc/{parent}/task").SelectMany(task => File.ReadAllText($"{task}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .First(child => File.ReadAllText($"/proc/{child}/comm").StartsWith("heca-unaware", StringComparison.Ordinal)),
        CultureInfo.InvariantCulture);

    private static bool IsZombie(int process) => File.ReadAllText($"/proc/{process}/stat").Contains(") Z ", StringComparison.Ordinal);

    private static long AnonymousMiB(int process) => long.Parse(
        File.ReadLines($"/proc/{process}/status").First(line => line.StartsWith("RssAnon:", StringComparison.Ordinal))["RssAnon:".Length..^2],
        CultureInfo.InvariantCulture) / 1024;

    private static long PagesOut(string stats) => long.Parse(
        PagesOutPattern().Match(stats).Groups[1].Value.Replace(",", "", StringComparison.Ordinal), NumberStyles.None, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"in, ([\d,]+) out")]
    private static partial Regex PagesOutPattern();
}
