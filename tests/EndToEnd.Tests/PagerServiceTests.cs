using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>`heca pager`, and `heca run` that is served by it. Other users are in tests/vm/checks/unprivileged.</summary>
public sealed class PagerServiceTests : IDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly string _runtime = Directory.CreateTempSubdirectory("heca-test-service-").FullName;
    private readonly SponsorProcess _sponsor = new("1GiB");
    private readonly List<Process> _started = [];

    public PagerServiceTests() => Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");

    private string SocketPath => Path.Combine(_runtime, "pager", "socket");

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
        Directory.Delete(_runtime, recursive: true);
    }

    [Fact]
    public void Programs_have_bounds_and_figures_of_their_own_and_nothing_is_left_behind()
    {
        Process service = StartService();
        Process small = StartStill("--local", "8MiB", "--stats"), large = StartStill("--local", "24MiB", "--stats");
        Fill(small);
        Fill(large);
        using JsonDocument status = JsonDocument.Parse(Heca("status", "--json"));
        Dictionary<string, JsonElement> reports = status.RootElement.EnumerateArray().ToDictionary(report => report.GetProperty("local").GetString()!);
        Assert.Equal(["24MiB", "8MiB"], reports.Keys.Order(StringComparer.Ordinal));
        Assert.InRange(reports["8MiB"].GetProperty("resident_bytes").GetInt64(), 1, 9L << 20);
        Assert.InRange(reports["24MiB"].GetProperty("resident_bytes").GetInt64(), 12L << 20, 25L << 20);
        Assert.All(reports.Values, report => Assert.InRange(report.GetProperty("remote_bytes").GetInt64(), 32L << 20, 80L << 20));

        Finish(small);
        Finish(large);
        Assert.Contains("0 lost", small.StandardError.ReadToEnd(), StringComparison.Ordinal);
        Assert.Equal(0, End(service, Libc.SIGTERM));
        Assert.Empty(Directory.GetFileSystemEntries(Path.GetDirectoryName(SocketPath)!));
    }

    [Fact]
    public void A_program_goes_on_when_its_heca_run_is_killed_and_the_pager_ends_after_it()
    {
        Process service = StartService();
        Process run = StartStill("--local", "8MiB");
        Fill(run);
        run.Kill();
        Assert.Equal(0, Libc.Kill(service.Id, Libc.SIGTERM));
        Assert.Equal("pager ends with the last of 1 programs; a second signal ends it now", service.StandardOutput.ReadLine());
        (int refused, string why) = RunToEnd("--", "true");
        Assert.Equal((1, true), (refused, why.Contains("is ending and takes no more programs", StringComparison.Ordinal)));

        run.StandardInput.WriteLine();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(service.WaitForExit(s_deadline), "the pager goes on without a program");
        Assert.Equal(0, service.ExitCode);
    }

    [Fact]
    public void A_second_pager_is_refused_and_what_a_killed_one_left_is_cleared()
    {
        Process service = StartService();
        (int status, string why) = ToEnd("pager", "--sponsor", $"127.0.0.1:{_sponsor.Endpoint.Port}", "--sponsor-key", _sponsor.Endpoint.PublicKey);
        Assert.Equal((1, true), (status, why.Contains("a pager listens on", StringComparison.Ordinal)));

        Process run = StartStill("--local", "8MiB", "--stop-after", "1");
        Fill(run);
        service.Kill();
        Assert.True(run.WaitForExit(s_deadline), "the program goes on without its pager");
        Assert.Equal(1, run.ExitCode);
        Assert.Contains("the pager at", run.StandardError.ReadToEnd(), StringComparison.Ordinal);

        Process next = StartService();
        Assert.Equal(2, Directory.GetFileSystemEntries(Path.GetDirectoryName(SocketPath)!).Length);
        Assert.Equal(0, RunToEnd("--", "true").Status);
        Assert.Equal(0, End(next, Libc.SIGINT));
    }

    [Theory]
    [InlineData("what")]
    [InlineData("{}")]
    [InlineData("""{"open":{"prefetch":"none"}}""")]
    [InlineData("""{"open":{"local":"much","prefetch":"none","eviction":"sieve","clean":true,"capture_bytes_min":4096,"capture_except":[],"many_programs":false,"stop_after_seconds":1}}""")]
    public void What_is_no_request_is_answered_with_a_line(string packet)
    {
        Process service = StartService();
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified))
        {
            socket.Connect(new UnixDomainSocketEndPoint(SocketPath));
            _ = socket.Send(Encoding.UTF8.GetBytes(packet));
            byte[] answer = new byte[4096];
            string text = Encoding.UTF8.GetString(answer, 0, socket.Receive(answer));
            Assert.Contains("does not know what is asked", text, StringComparison.Ordinal);
            Assert.Equal(0, socket.Receive(answer));
        }

        Assert.Equal(0, RunToEnd("--", "true").Status);
        Assert.Equal(0, End(service, Libc.SIGTERM));
    }

    [Fact]
    public void Without_a_sponsor_and_without_a_pager_run_says_how_to_get_one()
    {
        (int status, string why) = RunToEnd("--", "true");
        Assert.Equal(2, status);
        Assert.Contains("or start `heca pager`", why, StringComparison.Ordinal);
    }

    private Process StartService()
    {
        Process service = Start("pager", "--sponsor", $"127.0.0.1:{_sponsor.Endpoint.Port}", "--sponsor-key", _sponsor.Endpoint.PublicKey, "--log-level", "error");
        Assert.StartsWith($"pager ready on {SocketPath}", service.StandardOutput.ReadLine(), StringComparison.Ordinal);
        return service;
    }

    private Process StartStill(params string[] options) => Start(["run", .. options, "--", Programs.Unaware, "still", "64"]);

    /// <summary>The program has filled its memory, and most of it is not here.</summary>
    private void Fill(Process run)
    {
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        run.StandardInput.WriteLine();
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        HecaRun.WaitUntilRemote(run.Id, 32L << 20, _runtime);
    }

    private static void Finish(Process run)
    {
        run.StandardInput.WriteLine();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline), "heca run does not end");
        Assert.Equal(0, run.ExitCode);
    }

    private static int End(Process service, int signal)
    {
        Assert.Equal(0, Libc.Kill(service.Id, signal));
        Assert.True(service.WaitForExit(s_deadline), "the pager does not end");
        return service.ExitCode;
    }

    private (int Status, string Error) RunToEnd(params string[] arguments) => ToEnd(["run", .. arguments]);

    private (int Status, string Error) ToEnd(params string[] arguments)
    {
        Process heca = Start(arguments);
        string error = heca.StandardError.ReadToEnd();
        Assert.True(heca.WaitForExit(s_deadline), "heca does not end");
        return (heca.ExitCode, error);
    }

    private string Heca(params string[] arguments)
    {
        Process heca = Start(arguments);
        string output = heca.StandardOutput.ReadToEnd();
        Assert.True(heca.WaitForExit(s_deadline), "heca does not end");
        return output;
    }

    private Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Heca, arguments)
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
