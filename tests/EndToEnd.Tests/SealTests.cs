using System.Diagnostics;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>`--seal`: what leaves the host is noise to whoever has it there. That damaged pages are noticed, CorruptionTests has.</summary>
public sealed class SealTests : IDisposable
{
    private const string Secret = "what only the program and its pager know";

    /// <summary>64 MiB of it, and a sum of it all when a line comes.</summary>
    private const string Program = $"""
        import sys, zlib
        secret = bytearray((b"{Secret}" * 1700000)[:64 << 20])
        before = zlib.crc32(secret)
        print("ready", flush=True)
        sys.stdin.readline()
        print("ok" if zlib.crc32(secret) == before else "wrong", flush=True)
        """;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    // Memory, as /run is: the key is not written to a disk.
    private readonly string _runtime = Directory.CreateDirectory($"/dev/shm/heca-test-seal-{Guid.NewGuid():N}").FullName;
    private readonly SponsorProcess _sponsor = new("512MiB");
    private readonly List<Process> _started = [];

    public SealTests()
    {
        Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");
        Capability.Require("python", File.Exists("/usr/bin/python3"), "python3 is not installed");
    }

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

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_sponsor_has_a_programs_pages_in_clear_unless_they_are_sealed(bool seals)
    {
        Process run = Start(["run", .. HecaRun.Naming([_sponsor]), "--local", "16MiB", .. seals ? (string[])["--seal"] : [], "--", "python3", "-c", Program]);
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        HecaRun.WaitUntilRemote(run.Id, 32L << 20, _runtime);
        Assert.Equal(!seals, SponsorKnows(Secret));
        EndsWell(run);
    }

    [Fact]
    public void A_program_goes_on_with_what_was_sealed_when_its_pager_is_killed_and_nothing_of_the_key_is_left()
    {
        Process pager = StartPager("--seal");
        Process run = Start(["run", "--local", "16MiB", "--", "python3", "-c", Program]);
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        foreach (string[] options in (string[][])[["--seal"], []])
        {
            // Also by one that seals for no program that comes to it first.
            HecaRun.WaitUntilRemote(run.Id, 32L << 20, _runtime);
            Assert.Single(Seals());
            pager.Kill();
            pager = StartPager(options);
        }

        HecaRun.WaitUntilRemote(run.Id, 32L << 20, _runtime);
        Assert.False(SponsorKnows(Secret));
        EndsWell(run);
        Assert.True(SpinWait.SpinUntil(() => Seals().Length == 0, s_deadline), "the key is still there");
        Assert.Equal(0, Libc.Kill(pager.Id, Libc.SIGTERM));
        Assert.True(pager.WaitForExit(s_deadline));
    }

    [Theory]
    [InlineData("run --pager {folder}/socket --seal -- true", "--seal is chosen where the pager is started: `heca pager --seal`", 2)]
    [InlineData("pager {sponsor} --socket /proc/socket --seal", "--seal: pages cannot be sealed: /proc is on proc, and the key is to be in memory only; give a folder on a tmpfs, such as /run", 1)]
    public void Where_it_cannot_be_had_is_told_in_one_line(string arguments, string expected, int status)
    {
        Process heca = Start([.. arguments.Split(' ').SelectMany(argument => argument == "{sponsor}" ? HecaRun.Naming([_sponsor]) : [argument.Replace("{folder}", _runtime, StringComparison.Ordinal)])]);
        Assert.True(heca.WaitForExit(s_deadline));
        Assert.Contains(expected, Assert.Single(heca.StandardError.ReadToEnd().TrimEnd().Split('\n')), StringComparison.Ordinal);
        Assert.Equal(status, heca.ExitCode);
    }

    private Process StartPager(params string[] options)
    {
        Process pager = Start(["pager", .. HecaRun.Naming([_sponsor]), "--log-level", "error", .. options]);
        Assert.StartsWith("pager ready", pager.StandardOutput.ReadLine(), StringComparison.Ordinal);
        return pager;
    }

    private Process Start(string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Heca, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["HECA_RUNTIME_DIR"] = _runtime;
        _started.Add(Process.Start(start)!);
        return _started[^1];
    }

    private static void EndsWell(Process run)
    {
        run.StandardInput.WriteLine();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline), "heca run does not end");
        Assert.Equal(0, run.ExitCode);
    }

    private string[] Seals() => Directory.GetFiles(_runtime, "*.seals", SearchOption.AllDirectories);

    /// <summary>True when it is in the sponsor's memory, as its operator could look for it.</summary>
    private bool SponsorKnows(string secret)
    {
        byte[] sought = System.Text.Encoding.ASCII.GetBytes(secret);
        using FileStream memory = File.OpenRead($"/proc/{_sponsor.Id}/mem");
        byte[] part = new byte[1 << 20];
        foreach (string line in File.ReadLines($"/proc/{_sponsor.Id}/maps").Where(line => line.Contains(" rw", StringComparison.Ordinal)))
        {
            string[] range = line.Split(' ')[0].Split('-');
            long end = long.Parse(range[1], System.Globalization.NumberStyles.HexNumber, null);
            for (memory.Position = long.Parse(range[0], System.Globalization.NumberStyles.HexNumber, null); memory.Position < end;)
            {
                int length = (int)Math.Min(part.Length, end - memory.Position);
                try
                {
                    memory.ReadExactly(part, 0, length);
                }
                catch (IOException)
                {
                    break;
                }

                if (part.AsSpan(0, length).IndexOf(sought) >= 0)
                {
                    return true;
                }
            }
        }

        return false;
    }
}
