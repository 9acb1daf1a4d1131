using System.Text.RegularExpressions;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Metrics;
using Xunit;

namespace Hecatonchire.Tests.Processes;

/// <summary>The daemon as users and `heca` start it.</summary>
public sealed class SponsorProcessTests : IDisposable
{
    private const int SIGHUP = 1;

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-sponsor-").FullName;

    public SponsorProcessTests() => Capability.RequireZmq();

    private string Keys => Path.Combine(_directory, "keys");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void A_client_that_this_project_did_not_write_is_served()
    {
        Capability.RequirePython();
        using SponsorProcess sponsor = SponsorProcess.StartAnnounced(Keys);
        PythonScript.Run(
            [Path.Combine(AppContext.BaseDirectory, "control_client.py"), $"{sponsor.ControlPort}", $"{sponsor.DataPort}", sponsor.PublicKey],
            [],
            TimeSpan.FromSeconds(60));
        sponsor.Signal(Libc.SIGTERM);
        Assert.Equal(0, sponsor.WaitForExit());
        Assert.Contains("Dropped a message", sponsor.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void A_demander_written_from_the_description_of_the_protocol_is_served_and_refused_as_that_says()
    {
        Capability.RequirePython();
        string trusting = Path.Combine(_directory, "trusting");
        var own = CurveKeyPair.Create();
        _ = Directory.CreateDirectory(trusting);
        KeyFile.Write(Path.Combine(trusting, TrustFile.Name), $"alice {own.PublicZ85} quota=64MiB", KeyFile.PublicMode, overwrite: true, "");
        using SponsorProcess open = SponsorProcess.StartAnnounced(Keys), closed = SponsorProcess.StartAnnounced(trusting, "--gone-after", "1");
        PythonScript.Run(
            [Path.Combine(AppContext.BaseDirectory, "client.py"), $"{open.ControlPort}", Keys, $"{closed.ControlPort}", trusting, own.SecretZ85],
            [],
            TimeSpan.FromSeconds(60));
    }

    [Theory]
    [InlineData(Libc.SIGTERM)]
    [InlineData(Libc.SIGINT)]
    public void A_signal_stops_it_cleanly_while_demanders_are_connected(int signal)
    {
        using SponsorProcess sponsor = SponsorProcess.StartAnnounced(Keys);
        using SponsorClient client = Connect(sponsor);
        client.AllocateSlab(64 << 20);
        sponsor.Signal(signal);
        Assert.Equal(0, sponsor.WaitForExit());
        Assert.Equal("", sponsor.Errors);
        Assert.Equal("", sponsor.ReadOutput());
    }

    [Fact]
    public void It_announces_the_key_that_it_keeps_for_the_next_start()
    {
        string key;
        using (SponsorProcess first = SponsorProcess.StartAnnounced(Keys))
        {
            key = first.PublicKey;
            Assert.Equal(key, File.ReadAllText(Path.Combine(Keys, "sponsor.public")).Trim());
        }

        using SponsorProcess second = SponsorProcess.StartAnnounced(Keys);
        Assert.Equal(key, second.PublicKey);
    }

    [Fact]
    public void With_exit_with_stdin_it_ends_with_its_standard_input()
    {
        using SponsorProcess sponsor = SponsorProcess.StartAnnounced(Keys, "--exit-with-stdin");
        using (SponsorClient client = Connect(sponsor))
        {
            Assert.True(client.IsAlive);
        }

        sponsor.CloseInput();
        Assert.Equal(0, sponsor.WaitForExit());
        Assert.Equal("", sponsor.Errors);
    }

    [Fact]
    public void Without_exit_with_stdin_the_end_of_standard_input_means_nothing()
    {
        using SponsorProcess sponsor = SponsorProcess.StartAnnounced(Keys);
        sponsor.CloseInput();
        using SponsorClient client = Connect(sponsor);
        Assert.Equal(256L << 20, client.Hello.OfferedBytes);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_port_in_use_is_one_line_and_status_1(bool control)
    {
        using SponsorProcess first = SponsorProcess.StartAnnounced(Keys);
        int port = control ? first.ControlPort : first.DataPort;
        AssertEnds(1, $"127.0.0.1:{port}", "--memory", "256MiB", "--port", control ? $"{port}" : "0", "--data-port", control ? "0" : $"{port}");
    }

    [Fact]
    public void An_address_that_is_not_this_hosts_is_one_line_and_status_1() =>
        AssertEnds(1, "192.0.2.1", "--memory", "256MiB", "--listen", "192.0.2.1");

    [Fact]
    public void A_key_directory_that_cannot_be_made_is_one_line_and_status_1()
    {
        File.WriteAllText(Keys, "a file, not a directory");
        AssertEnds(1, Keys, "--memory", "256MiB");
    }

    [Fact]
    public void A_trust_file_that_is_not_there_or_is_none_is_one_line_and_status_1()
    {
        string trust = Path.Combine(_directory, "trust");
        AssertEnds(1, $"there is no trust file {trust}: heca key trust makes one", "--memory", "256MiB", "--trust", trust);
        File.WriteAllText(trust, "# mine\nalice\n");
        File.SetUnixFileMode(trust, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        AssertEnds(1, $"{trust}, line 2: after 'alice' comes no public key (40 characters of Z85)", "--memory", "256MiB", "--trust", trust);
    }

    [Fact]
    public void A_hangup_has_its_trust_file_read_again_and_does_not_end_it()
    {
        string trust = Path.Combine(_directory, "trust");
        KeyFile.Write(trust, "# nobody yet", KeyFile.PublicMode, overwrite: true, "");
        using SponsorProcess sponsor = SponsorProcess.StartAnnounced(Keys, "--trust", trust, "--log-level", "information");
        Assert.Equal(SponsorErrorCode.NotTrusted, Assert.Throws<SponsorException>(() => Connect(sponsor)).Code);
        string secret = Path.Combine(_directory, "alice.secret");
        CurveKeyPair keys = CurveKeyPair.Create();
        KeyFile.Write(secret, keys.SecretZ85, KeyFile.SecretMode, overwrite: true, "");
        KeyFile.Write(trust, $"alice {keys.PublicZ85}", KeyFile.PublicMode, overwrite: true, "");
        sponsor.Signal(SIGHUP);
        SponsorClientOptions options = new() { RequestTimeout = TimeSpan.FromSeconds(20), Key = new DemanderKey(secret) };
        Eventually.True(
            () =>
            {
                try
                {
                    using SponsorClient client = SponsorClient.Connect("127.0.0.1", sponsor.ControlPort, sponsor.PublicKey, Guid.NewGuid(), "test", options);
                    return client.IsAlive;
                }
                catch (SponsorException failure) when (failure.Code == SponsorErrorCode.NotTrusted)
                {
                    return false;
                }
            },
            "being trusted");
        sponsor.Signal(Libc.SIGTERM);
        Assert.Equal(0, sponsor.WaitForExit());
        Assert.Contains($"Read the trust file {trust}: 1 keys are trusted", sponsor.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--memory is missing")]
    [InlineData("--memory 1KiB", "--memory", "1KiB")]
    [InlineData("'--bogus'", "--memory", "1GiB", "--bogus")]
    [InlineData("--port 70000", "--memory", "1GiB", "--port", "70000")]
    [InlineData("'1GiB'", "1GiB")]
    public void Bad_usage_is_one_line_and_status_2(string named, params string[] arguments) => AssertEnds(2, named, arguments);

    [Fact]
    public void A_bad_line_of_the_configuration_file_is_one_line_and_status_2()
    {
        string file = Path.Combine(_directory, "sponsor.conf");
        File.WriteAllText(file, "memory = 1GiB\ngone-after = soon\n");
        AssertEnds(2, $"--gone-after soon (from {file}:2): must be a whole number from 1 to 86400 seconds", "--config", file);
        File.WriteAllText(file, "memory = 1GiB\ngone-affter = 5\n");
        AssertEnds(2, $"heca-sponsor: {file}:2: 'gone-affter' is no option; 'gone-after' is", "--config", file);
    }

    [Fact]
    public void Without_libzmq_it_names_the_package_and_ends_with_status_3()
    {
        // A mount namespace of its own in which the library is an empty file.
        string? library = File.ReadLines("/proc/self/maps").Select(line => line[(line.LastIndexOf(' ') + 1)..])
            .FirstOrDefault(path => Path.GetFileName(path).StartsWith("libzmq.so.5", StringComparison.Ordinal));
        Capability.Require("unshare", library is not null && Environment.IsPrivilegedProcess && File.Exists("/usr/bin/unshare"), "needs root and unshare");
        using SponsorProcess sponsor = new(
            "/usr/bin/unshare",
            ["--mount", "sh", "-c", "mount --bind /dev/null \"$0\" || exit 77; exec \"$@\"", library!, SponsorProcess.Program, "--memory", "1GiB", "--keys", Keys]);
        int status = sponsor.WaitForExit();
        Capability.Require("unshare", status is not (77 or 1), $"no mount namespace here: {sponsor.Errors}");
        Assert.Equal(3, status);
        AssertOneLine(sponsor.Errors);
        Assert.Contains("libzmq5", sponsor.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public void Dump_config_prints_where_each_value_came_from_and_starts_nothing()
    {
        using SponsorProcess sponsor = new(
            SponsorProcess.Program,
            ["--keys", Keys, "--memory", "1GiB", "--dump-config"],
            new Dictionary<string, string> { ["HECA_SPONSOR_GONE_AFTER"] = "7" });
        Assert.Equal(0, sponsor.WaitForExit());
        string output = sponsor.ReadOutput();
        Assert.Matches(new Regex("^memory = 1GiB +# command line$", RegexOptions.Multiline), output);
        Assert.Matches(new Regex("^gone-after = 7 +# HECA_SPONSOR_GONE_AFTER$", RegexOptions.Multiline), output);
        Assert.False(Directory.Exists(Keys));
    }

    [Fact]
    public async Task Its_metrics_are_what_promtool_accepts_and_tell_who_borrowed_how_much()
    {
        using SponsorProcess sponsor = SponsorProcess.StartAnnounced(Keys, "--metrics", "127.0.0.1:0");
        Guid demander = Guid.NewGuid();
        using SponsorClient client = SponsorClient.Connect(
            "127.0.0.1", sponsor.ControlPort, sponsor.PublicKey, demander, "a \"name\"", TimeSpan.FromSeconds(20));
        client.AllocateSlab(64 << 20);
        using HttpClient http = new();
        string text = await http.GetStringAsync($"http://127.0.0.1:{sponsor.MetricsPort}/metrics");
        Assert.Contains("heca_sponsor_offered_bytes 268435456", text, StringComparison.Ordinal);
        Assert.Contains("heca_sponsor_lent_bytes 67108864", text, StringComparison.Ordinal);
        Assert.Contains("heca_sponsor_demanders 1", text, StringComparison.Ordinal);
        Assert.Contains($"heca_sponsor_demander_lent_bytes{{demander=\"{demander}\",name=\"a \\\"name\\\"\"}} 67108864", text, StringComparison.Ordinal);
        Assert.Contains("heca_sponsor_pages_read_total 0", text, StringComparison.Ordinal);
        Assert.Contains("heca_sponsor_control_requests_total", text, StringComparison.Ordinal);
        Promtool.Check(text);
    }

    [Fact]
    public void Version_and_help_go_to_standard_output()
    {
        using SponsorProcess version = new(SponsorProcess.Program, ["--version"]);
        Assert.Equal(0, version.WaitForExit());
        Assert.StartsWith("0.", version.ReadOutput(), StringComparison.Ordinal);
        using SponsorProcess help = new(SponsorProcess.Program, ["--help"]);
        Assert.Equal(0, help.WaitForExit());
        Assert.Contains("--exit-with-stdin", help.ReadOutput(), StringComparison.Ordinal);
    }

    private static SponsorClient Connect(SponsorProcess sponsor) => SponsorClient.Connect(
        "127.0.0.1", sponsor.ControlPort, sponsor.PublicKey, Guid.NewGuid(), "test", TimeSpan.FromSeconds(20));

    private void AssertEnds(int status, string named, params string[] arguments)
    {
        using SponsorProcess sponsor = new(SponsorProcess.Program, ["--keys", Keys, .. arguments]);
        Assert.Equal(status, sponsor.WaitForExit());
        AssertOneLine(sponsor.Errors);
        Assert.Contains(named, sponsor.Errors, StringComparison.Ordinal);
        Assert.Equal("", sponsor.ReadOutput());
    }

    private static void AssertOneLine(string errors)
    {
        Assert.StartsWith("heca-sponsor: ", errors, StringComparison.Ordinal);
        Assert.Equal(errors.Length - 1, errors.IndexOf('\n', StringComparison.Ordinal));
    }
}
