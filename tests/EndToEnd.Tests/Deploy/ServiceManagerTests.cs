using System.Diagnostics;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests.Deploy;

/// <summary>The daemons as systemd starts them: Type=notify, a watchdog, and of the pager no more capabilities than its unit leaves it.</summary>
public sealed class ServiceManagerTests : IDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    /// <summary>A sign of life every 0.2 s.</summary>
    private const string WatchdogMicroseconds = "600000";

    /// <summary>No sign for five times as long as one takes.</summary>
    private static readonly TimeSpan s_silence = TimeSpan.FromSeconds(1);

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-service-").FullName;
    private readonly NotifySocket _manager;
    private readonly List<Process> _started = [];

    public ServiceManagerTests() => _manager = new NotifySocket(Path.Combine(_directory, "notify"));

    public void Dispose()
    {
        foreach (Process process in _started)
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit();
            }

            process.Dispose();
        }

        _manager.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void A_sponsor_says_when_it_is_ready_that_it_lives_while_both_planes_go_on_and_that_it_stops()
    {
        Capability.RequirePython();
        string configuration = Path.Combine(_directory, "sponsor.conf");
        File.WriteAllText(configuration, $"memory = 64MiB\nport = 0\ndata-port = 0\nkeys = {_directory}/keys\n");
        Process sponsor = StartWatched([Programs.Sponsor, "--config", configuration]);
        Assert.StartsWith("READY=1\nSTATUS=offers 64MiB on 127.0.0.1 port ", _manager.Next(), StringComparison.Ordinal);
        foreach (string thread in (string[])["heca-data", "heca-control"])
        {
            Assert.Equal(3, _manager.CountSigns(s_deadline, 3));
            using (new StoppedThread(sponsor.Id, thread))
            {
                // One may be on its way still, and one wait to be sent.
                _manager.Drain();
                Assert.InRange(_manager.CountSigns(s_silence, 4), 0, 2);
            }
        }

        Assert.Equal(3, _manager.CountSigns(s_deadline, 3));
        Assert.Equal(0, Libc.Kill(sponsor.Id, Libc.SIGTERM));
        Assert.StartsWith("STOPPING=1\n", _manager.NextThatBegins("STOPPING"), StringComparison.Ordinal);
        Assert.True(sponsor.WaitForExit(s_deadline), "the sponsor does not end");
        Assert.Equal((0, ""), (sponsor.ExitCode, sponsor.StandardError.ReadToEnd()));
    }

    [Fact]
    public void A_pager_with_the_capabilities_of_its_unit_serves_and_says_that_it_lives_while_its_threads_go_on()
    {
        Capability.RequirePython();
        Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");
        Capability.Require("setpriv", Environment.IsPrivilegedProcess && File.Exists("/usr/bin/setpriv"), "needs root and setpriv");
        using var lender = new SponsorProcess("256MiB");
        string configuration = Path.Combine(_directory, "pager.conf");
        File.WriteAllText(configuration, $"sponsor = {lender.Name}\nsponsor-key = {lender.Endpoint.PublicKey}\nlog-level = error\n");
        Process pager = StartWatched([.. Limited("heca-pager.service"), Programs.Heca, "pager", "--takeover", "--config", configuration]);
        Assert.StartsWith($"READY=1\nSTATUS=sponsor {lender.Name}", _manager.Next(), StringComparison.Ordinal);

        Process run = Start([Programs.Heca, "run", "--local", "8MiB", "--", Programs.Unaware, "still", "64"]);
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        run.StandardInput.WriteLine();
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        HecaRun.WaitUntilRemote(run.Id, 32L << 20, _directory);
        foreach (string thread in (string[])["heca-service", "heca-pager"])
        {
            Assert.Equal(3, _manager.CountSigns(s_deadline, 3));
            using (new StoppedThread(pager.Id, thread))
            {
                _manager.Drain();
                Assert.InRange(_manager.CountSigns(s_silence, 4), 0, 2);
            }
        }

        Assert.Equal(3, _manager.CountSigns(s_deadline, 3));
        Assert.Equal(0, Libc.Kill(pager.Id, Libc.SIGTERM));
        Assert.Equal("STOPPING=1\nSTATUS=ends with the last of 1 programs", _manager.NextThatBegins("STOPPING"));
        run.StandardInput.WriteLine();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline) && pager.WaitForExit(s_deadline), "the program or its pager does not end");
        Assert.Equal((0, 0, ""), (run.ExitCode, pager.ExitCode, pager.StandardError.ReadToEnd()));
    }

    /// <summary>What setpriv makes of the rights that a unit leaves its service.</summary>
    private static string[] Limited(string unit)
    {
        string[] lines = File.ReadAllLines(Path.Combine(Programs.Root, "deploy/systemd", unit));
        Assert.Contains("NoNewPrivileges=yes", lines);
        string line = lines.Single(line => line.StartsWith("CapabilityBoundingSet=", StringComparison.Ordinal));
        string kept = string.Concat(line["CapabilityBoundingSet=".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(name => $",+{name["CAP_".Length..].ToLowerInvariant()}"));
        return ["/usr/bin/setpriv", "--no-new-privs", $"--bounding-set=-all{kept}"];
    }

    private Process StartWatched(string[] arguments) => Start(arguments, ("NOTIFY_SOCKET", _manager.Path), ("WATCHDOG_USEC", WatchdogMicroseconds));

    private Process Start(string[] arguments, params (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(arguments[0], arguments[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["HECA_RUNTIME_DIR"] = _directory;
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        var process = Process.Start(start)!;
        _started.Add(process);
        return process;
    }
}
