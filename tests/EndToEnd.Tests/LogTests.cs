using System.Diagnostics;
using System.Text.Json;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>What both programs say on standard error, in each format, and that nobody waits for who takes it.</summary>
public sealed class LogTests : IDisposable
{
    private readonly string _keys = Directory.CreateTempSubdirectory("heca-test-log-keys-").FullName;

    public void Dispose() => Directory.Delete(_keys, recursive: true);

    [Theory]
    [InlineData("text", @"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info: \S+\[\d+\] .+")]
    [InlineData("journald", @"^<6>\S+\[\d+\] .+")]
    [InlineData("json", null)]
    public void Each_entry_is_one_line_of_the_format_that_was_asked_for(string format, string? line)
    {
        List<string> ofSponsor = [];
        (int status, string _, string error) ran;
        using (var sponsor = new Process { StartInfo = Sponsor("--log-level", "information", "--log-format", format) })
        {
            SponsorEndpoint endpoint = Start(sponsor);
            ran = HecaRun.Command("run", "--sponsor", $"127.0.0.1:{endpoint.Port}", "--sponsor-key", endpoint.PublicKey, "--log-level", "information", "--log-format", format, "--", Programs.Test, "walk", "16", "1", "100");
            sponsor.StandardInput.Close();
            ofSponsor.AddRange(sponsor.StandardError.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries));
            sponsor.WaitForExit();
        }

        Assert.Equal(0, ran.status);
        string[] ofRun = ran.error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(ofSponsor.Count >= 2 && ofRun.Length >= 2, $"little is said: {ran.error}");
        Assert.All(ofSponsor.Concat(ofRun), said =>
        {
            if (line is not null)
            {
                Assert.Matches(line, said);
                return;
            }

            using JsonDocument entry = JsonDocument.Parse(said);
            Assert.Equal("Information", entry.RootElement.GetProperty("LogLevel").GetString());
            Assert.EndsWith("Z", entry.RootElement.GetProperty("Timestamp").GetString(), StringComparison.Ordinal);
            Assert.NotEqual("", entry.RootElement.GetProperty("Message").GetString());
        });
    }

    [Fact]
    public void A_format_that_is_none_is_one_clear_line()
    {
        (int status, string _, string error) = HecaRun.Command("run", "--embedded", "--log-format", "xml", "--", "true");
        Assert.Equal((2, "heca: --log-format 'xml': write text, json or journald\n"), (status, error));
        using Process sponsor = Process.Start(new ProcessStartInfo(Programs.Sponsor, ["--memory", "64MiB", "--log-format", "xml"]) { RedirectStandardError = true })!;
        Assert.Equal("heca-sponsor: --log-format xml: must be text, json or journald\n", sponsor.StandardError.ReadToEnd());
        sponsor.WaitForExit();
        Assert.Equal(2, sponsor.ExitCode);
    }

    /// <summary>
    /// Below standard error: a device that is always full, a file system of 16 KiB, and a pipe that nobody reads and that is full from the moment on that both have begun. All is said that can be said, and more than fits.
    /// </summary>
    [Theory]
    [InlineData("disk", "exec \"$@\" 2>/dev/full")]
    [InlineData("tmpfs", "mount -t tmpfs -o size=16k none \"$DIR\" && head -c 12k /dev/zero >\"$DIR/log\"; exec \"$@\" 2>>\"$DIR/log\"")]
    [InlineData("pipe", "mkfifo \"$DIR/pipe\"; exec 3<>\"$DIR/pipe\"; exec \"$@\" 2>&3")]
    public void A_full_disk_below_the_log_neither_stops_nor_changes_anything(string below, string redirection)
    {
        Capability.Require("mount", below != "tmpfs" || Environment.IsPrivilegedProcess, "a tmpfs is mounted: this takes root");
        string folder = Directory.CreateTempSubdirectory("heca-test-log-").FullName;
        try
        {
            using var sponsor = new Process { StartInfo = Redirected(redirection, folder, Sponsor("--log-level", "trace")) };
            SponsorEndpoint endpoint = Start(sponsor);
            ProcessStartInfo starting = new(Programs.Heca,
                ["run", "--sponsor", $"127.0.0.1:{endpoint.Port}", "--sponsor-key", endpoint.PublicKey, "--local", "8MiB", "--log-level", "trace", .. below == "pipe" ? [] : (string[])["--stats"], "--", Programs.Test, "idle", "32"])
            {
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
            };
            using Process run = Process.Start(Redirected(redirection.Replace("pipe\"", "pipe2\"", StringComparison.Ordinal), folder, starting))!;
            Assert.Equal("ready", run.StandardOutput.ReadLine());

            if (below == "pipe")
            {
                Fill(Path.Combine(folder, "pipe"));
                Fill(Path.Combine(folder, "pipe2"));
            }

            // Demanders that are none: each is a warning of the sponsor's.
            for (int i = 0; i < 20; i++)
            {
                using var stranger = new System.Net.Sockets.TcpClient("127.0.0.1", endpoint.DataPort);
                stranger.GetStream().Write(new byte[128]);
            }

            run.StandardInput.WriteLine();
            Assert.Equal("ok", run.StandardOutput.ReadLine());
            Assert.True(run.WaitForExit(TimeSpan.FromSeconds(60)), "heca run does not end");
            Assert.Equal(0, run.ExitCode);
            Assert.Equal(0, Libc.Kill(sponsor.Id, Libc.SIGTERM));
            Assert.True(sponsor.WaitForExit(TimeSpan.FromSeconds(60)), "heca-sponsor does not end");
            Assert.Equal(0, sponsor.ExitCode);
        }
        finally
        {
            if (below == "tmpfs")
            {
                // Once for each of the two, in namespaces of their own that are gone.
                Assert.Empty(Directory.GetFileSystemEntries(folder));
            }

            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>To the last byte.</summary>
    private static void Fill(string pipe)
    {
        foreach (string size in (string[])["4096", "1"])
        {
            using Process dd = Process.Start(new ProcessStartInfo("dd", ["if=/dev/zero", $"of={pipe}", $"bs={size}", "count=65536", "oflag=nonblock"]) { RedirectStandardError = true })!;
            Assert.Contains("temporarily unavailable", dd.StandardError.ReadToEnd(), StringComparison.Ordinal);
            dd.WaitForExit();
        }
    }

    private ProcessStartInfo Sponsor(params string[] more) => new(Programs.Sponsor,
        ["--port", "0", "--data-port", "0", "--memory", "128MiB", "--keys", _keys, "--announce", "--exit-with-stdin", .. more])
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        RedirectStandardError = true,
    };

    /// <summary>The same with another place for standard error, in a mount namespace of its own where something is mounted.</summary>
    private static ProcessStartInfo Redirected(string redirection, string folder, ProcessStartInfo program)
    {
        string[] own = redirection.StartsWith("mount", StringComparison.Ordinal) ? ["unshare", "--mount"] : ["env"];
        ProcessStartInfo start = new(own[0], [.. own[1..], "sh", "-c", redirection, "sh", program.FileName, .. program.ArgumentList])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        start.Environment["DIR"] = folder;
        return start;
    }

    private static SponsorEndpoint Start(Process sponsor)
    {
        _ = sponsor.Start();
        using JsonDocument ready = JsonDocument.Parse(sponsor.StandardOutput.ReadLine()!);
        return new SponsorEndpoint(ready.RootElement.GetProperty("control_port").GetInt32(), ready.RootElement.GetProperty("public_key").GetString()!, ready.RootElement.GetProperty("data_port").GetInt32());
    }

    private sealed record SponsorEndpoint(int Port, string PublicKey, int DataPort);
}
