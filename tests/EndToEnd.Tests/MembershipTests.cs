using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Host;
using Hecatonchire.Membership;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>Sponsors that are found in a real etcd, which may go and lose everything while programs that verify their memory run; and where replicas are.</summary>
public sealed class MembershipTests : IDisposable
{
    private const long MiB = 1L << 20;

    /// <summary>etcd's own shortest.</summary>
    private const string LeaseSeconds = "2";

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    private readonly string _runtime = Directory.CreateTempSubdirectory("heca-test-members-").FullName;
    private readonly EtcdServer _etcd;
    private readonly List<SponsorProcess> _sponsors = [];
    private readonly List<Process> _started = [];

    public MembershipTests()
    {
        Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");
        _etcd = new EtcdServer();
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

        _sponsors.ForEach(sponsor => sponsor.Dispose());
        _etcd.Dispose();
        Directory.Delete(_runtime, recursive: true);
    }

    [Fact]
    public void An_etcd_that_goes_and_comes_back_empty_disturbs_nobody_and_sponsors_come_and_go_by_it()
    {
        StartSponsors(3, "--gone-after", "3");
        WaitForRegistered(3);
        Process run = StartWalk("--etcd", _etcd.Url, "--etcd-lease", LeaseSeconds, "--replicas", "2");

        // Away for longer than any lease, and than a sponsor hears nothing of a demander for. The program goes on; others may start with sponsors that they name.
        _etcd.Kill();
        var away = Stopwatch.StartNew();
        Process other = Start(["run", "--etcd", _etcd.Url, .. HecaRun.Naming(_sponsors[..1]), "--local", "8MiB", "--", Programs.Sample, "4000000"]);
        string? said = other.StandardOutput.ReadLine();
        Assert.True(said == "ok", said ?? other.StandardError.ReadToEnd());
        Assert.True(other.WaitForExit(s_deadline) && other.ExitCode == 0, "a program with a named sponsor does not end well without etcd");
        long faults = Faults(run);
        HecaRun.WaitUntil(run.Id, report => away.Elapsed > TimeSpan.FromSeconds(5) && report.GetProperty("faults").GetInt64() > faults, "the program stands still", _runtime);

        (int status, string told, string error) = HecaRun.Command("cluster", "status", "--etcd", _etcd.Url);
        Assert.Equal(1, status);
        Assert.Matches("^heca: etcd http://127.0.0.1:[0-9]+: .+$", Assert.Single(error.TrimEnd().Split('\n')));
        (status, _, error) = HecaRun.Command("run", "--etcd", _etcd.Url, "--", "/bin/true");
        Assert.Equal(1, status);
        Assert.Contains("name one with --sponsor to start without etcd", error, StringComparison.Ordinal);

        _etcd.StartAgainEmpty();
        WaitForRegistered(3);
        HecaRun.WaitUntil(run.Id, report => Figure(report, "sponsors") == 3 && Figure(report, "sponsors_lost") == 0, "a sponsor was lost with etcd", _runtime);

        // One more joins; one that ends is not registered any more, and its stripes are filled elsewhere.
        StartSponsors(1, "--gone-after", "3");
        HecaRun.WaitUntil(run.Id, report => Figure(report, "sponsors") == 4, "a sponsor that is new in etcd does not join", _runtime);
        _sponsors[0].Stop();
        WaitForRegistered(3);
        HecaRun.WaitUntil(
            run.Id, report => Figure(report, "sponsors") == 3 && Figure(report, "sponsors_lost") == 0 && Figure(report, "stripes_lacking") == 0,
            "a sponsor that has ended is not forgotten, or something lacks a replica", _runtime);
        EndWalk(run);
        WaitForSponsors("lent_bytes", lent => lent == 0, "what a program had is not given back");
    }

    /// <summary>Without etcd the pager's death would be the end of what it had after a second; with it, it lasts as long as another pager may come.</summary>
    [Fact]
    public void What_a_killed_demander_had_comes_back_unless_another_may_go_on_with_it()
    {
        StartSponsors(1, "--gone-after", "1");
        WaitForRegistered(1);
        Process pager = StartPager();
        Process run = Start(["run", "--local", "8MiB", "--stop-after", "60", "--stats", "--", Programs.Unaware, "walk", "64", "64", "input"]);
        HecaRun.WaitUntilRemote(run.Id, 32 * MiB, _runtime);

        // One with a lease and one without, that nobody can go on with: both are freed, the second by the same look at the clock that spares the pager's.
        Process with = StartStill("--etcd", _etcd.Url, "--etcd-lease", LeaseSeconds), without = StartStill([.. HecaRun.Naming(_sponsors)]);
        WaitForSponsors("demanders", demanders => demanders == 3, "three programs are not three demanders");
        Assert.True(HasClientOfEtcd(with.Id) && HasClientOfEtcd(_sponsors[0].Id), "this looks at nothing");
        Assert.False(HasClientOfEtcd(without.Id), "code of etcd is loaded where none is asked for");
        pager.Kill();
        foreach (Process killed in (Process[])[with, without])
        {
            killed.Kill(entireProcessTree: true);
        }

        WaitForSponsors("demanders", demanders => demanders == 1, "what killed demanders had does not come back, or what the pager's has went too");
        pager = StartPager();
        run.StandardInput.Close();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline), "heca run does not end");
        Assert.Contains(" 0 lost", run.StandardError.ReadToEnd(), StringComparison.Ordinal);
        Assert.Equal(0, run.ExitCode);
        WaitForSponsors("lent_bytes", lent => lent == 0, "what the program had is not given back");
    }

    /// <summary>A demander gives back what it has at a sponsor that it joins: it must not join one twice.</summary>
    [Fact]
    public void A_sponsor_that_is_found_under_another_address_than_it_is_named_by_is_one_sponsor()
    {
        _sponsors.Add(new SponsorProcess("512MiB", "--advertise", "localhost", "--etcd", _etcd.Url, "--etcd-lease", LeaseSeconds));
        Process run = StartWalk([.. HecaRun.Naming(_sponsors), "--etcd", _etcd.Url]);
        WaitForRegistered(1);

        // Whoever comes after it in etcd has been looked at after it.
        StartSponsors(1);
        HecaRun.WaitUntil(run.Id, report => Figure(report, "sponsors") == 2, "a sponsor that is new in etcd does not join", _runtime);
        EndWalk(run);
    }

    [Fact]
    public async Task The_replicas_of_a_page_are_in_different_racks_and_move_apart_when_there_are_some()
    {
        StartSponsors(2, "--label", "rack=a");
        WaitForRegistered(2);
        Process run = StartWalk("--etcd", _etcd.Url, "--replicas", "2", "--spread", "rack");
        StartSponsors(2, "--label", "rack=b");
        await WaitForLine(run, "No stripe has two replicas with the same rack any more");
        HecaRun.WaitUntil(
            run.Id, report => Figure(report, "sponsors") == 4 && Figure(report, "stripes_lacking") == 0 && Figure(report, "stripes_crowded") == 0, "something lacks a replica", _runtime);

        // A rack fails.
        _sponsors[0].Kill();
        _sponsors[1].Kill();
        HecaRun.WaitUntil(run.Id, report => Figure(report, "sponsors") == 2 && Figure(report, "stripes_lacking") == 0, "what the rack had is not filled elsewhere", _runtime);
        EndWalk(run);
    }

    [Fact]
    public void Sponsors_of_one_host_are_one_place()
    {
        StartSponsors(2, "--label", "host=one");
        StartSponsors(1, "--label", "host=two");
        WaitForRegistered(3);
        Process run = StartWalk("--etcd", _etcd.Url, "--replicas", "2");
        HecaRun.WaitUntil(
            run.Id, report => Figure(report, "sponsors") == 3 && Figure(report, "stripes_lacking") == 0 && Figure(report, "stripes_crowded") == 0, "two replicas are on one host", _runtime);
        _sponsors[0].Kill();
        _sponsors[1].Kill();
        HecaRun.WaitUntil(run.Id, report => Figure(report, "sponsors") == 1, "nobody notices", _runtime);
        EndWalk(run);
    }

    [Fact]
    public async Task Malformed_keys_are_told_and_sponsors_of_another_cluster_are_refused()
    {
        StartSponsors(1, "--label", "rack=a");
        WaitForRegistered(1);
        using (var store = new EtcdStore(_etcd.Address))
        {
            await store.PutAsync("sponsors/nobody", "{}"u8.ToArray(), 0, TestContext.Current.CancellationToken);
        }

        const string Other = "0123456789abcdef0123456789abcdef";
        using JsonDocument state = JsonDocument.Parse(HecaRun.Command("cluster", "status", "--etcd", _etcd.Url, "--json").Output);
        string cluster = state.RootElement.GetProperty("etcd").GetProperty("cluster").GetString()!;
        Assert.Matches("^[0-9a-f]{32}$", cluster);
        JsonElement sponsor = Assert.Single(state.RootElement.GetProperty("sponsors").EnumerateArray());
        Assert.Equal((cluster, true, "a"), (sponsor.GetProperty("cluster").GetString(), sponsor.GetProperty("registered").GetBoolean(), sponsor.GetProperty("labels").GetProperty("rack").GetString()));

        (int status, string output, string error) = HecaRun.Command("run", "--etcd", _etcd.Url, "--", "/bin/echo", "ran");
        Assert.True(status == 0 && output == "ran\n", error);
        Assert.Contains("etcd's key sponsors/nobody is ignored: 'v' is not 1", error, StringComparison.Ordinal);

        (status, output, error) = HecaRun.Command(["run", .. HecaRun.Naming(_sponsors), "--cluster", Other, "--", "/bin/echo", "ran"]);
        Assert.Equal((1, ""), (status, output));
        Assert.Equal($"heca: sponsor {_sponsors[0].Name} is of cluster {cluster}, and this demander of {Other}", Assert.Single(error.TrimEnd().Split('\n')));

        // One that is registered and does not answer is seen to be so, as long as its lease lasts.
        (status, output, error) = HecaRun.Command("drain", _sponsors[0].Name, "--etcd", _etcd.Url, "--admin-key", _sponsors[0].AdminKey);
        Assert.True(status == 0, error);
        _sponsors.Add(new SponsorProcess("64MiB", "--etcd", _etcd.Url, "--etcd-lease", "60"));
        WaitForRegistered(2);
        _sponsors[1].Kill();
        (status, output, _) = HecaRun.Command("cluster", "status", "--etcd", _etcd.Url);
        Assert.Equal(1, status);
        Assert.Matches($"{_sponsors[0].Name} +registered +drained .* host=test-[0-9]+,rack=a\n", output);
        Assert.Matches($"{_sponsors[1].Name} +registered +sponsor {_sponsors[1].Name} did not answer", output);
    }

    private static long Figure(JsonElement report, string name) => report.GetProperty(name).GetInt64();

    private void StartSponsors(int count, params string[] more)
    {
        for (int i = 0; i < count; i++)
        {
            _sponsors.Add(new SponsorProcess("1GiB", ["--etcd", _etcd.Url, "--etcd-lease", LeaseSeconds, .. more]));
        }
    }

    private Process StartPager()
    {
        Process pager = Start(["pager", "--etcd", _etcd.Url, "--etcd-lease", LeaseSeconds, "--log-level", "error"]);
        string? said = pager.StandardOutput.ReadLine();
        Assert.True(said?.StartsWith("pager ready", StringComparison.Ordinal) == true, said ?? pager.StandardError.ReadToEnd());
        return pager;
    }

    /// <summary>192 MiB, of which most is soon remote, in stripes of 64 MiB.</summary>
    private Process StartWalk(params string[] options)
    {
        Process run = Start(["run", .. options, "--local", "16MiB", "--stripe", "64MiB", "--stats", "--", Programs.Unaware, "walk", "192", "64", "input"]);
        HecaRun.WaitUntil(run.Id, report => Figure(report, "remote_bytes") > 160 * MiB, "nothing becomes remote", _runtime);
        return run;
    }

    private Process StartStill(params string[] options)
    {
        Process run = Start(["run", .. options, "--local", "8MiB", "--stop-after", "1", "--", Programs.Unaware, "still", "64"]);
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        run.StandardInput.WriteLine();
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        HecaRun.WaitUntilRemote(run.Id, 32 * MiB, _runtime);
        return run;
    }

    private static void EndWalk(Process run)
    {
        Assert.True(!run.HasExited, run.HasExited ? run.StandardError.ReadToEnd() : "");
        run.StandardInput.Close();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline));
        string told = run.StandardError.ReadToEnd();
        Assert.Contains(" 0 lost", told, StringComparison.Ordinal);
        Assert.Equal(0, run.ExitCode);
    }

    private Process Start(IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(Programs.Heca, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["HECA_RUNTIME_DIR"] = _runtime;
        Process process = Process.Start(start)!;
        _started.Add(process);
        return process;
    }

    private static async Task WaitForLine(Process run, string text)
    {
        string? line = "";
        while (line is not null && !line.Contains(text, StringComparison.Ordinal))
        {
            line = await run.StandardError.ReadLineAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(s_deadline, TestContext.Current.CancellationToken);
        }

        Assert.True(line is not null, $"it ended without: {text}");
    }

    private static bool HasClientOfEtcd(int process) => File.ReadAllText($"/proc/{process}/maps").Contains("dotnet-etcd.dll", StringComparison.Ordinal);

    private long Faults(Process run)
    {
        long faults = 0;
        HecaRun.WaitUntil(run.Id, report => (faults = Figure(report, "faults")) > 0, "there are no faults", _runtime);
        return faults;
    }

    /// <summary>Waits until so many are registered, and answer.</summary>
    private void WaitForRegistered(int count)
    {
        string told = "";
        Assert.True(
            SpinWait.SpinUntil(
                () =>
                {
                    told = HecaRun.Command("cluster", "status", "--etcd", _etcd.Url, "--json").Output;
                    if (told.Length == 0)
                    {
                        return false;
                    }

                    using JsonDocument json = JsonDocument.Parse(told);
                    JsonElement[] sponsors = [.. json.RootElement.GetProperty("sponsors").EnumerateArray()];
                    return sponsors.Length == count && sponsors.All(sponsor => sponsor.GetProperty("state").GetString() != "no_answer" && sponsor.GetProperty("registered").GetBoolean());
                },
                s_deadline),
            string.Create(CultureInfo.InvariantCulture, $"there are not {count} sponsors in etcd: {told}"));
    }

    /// <summary>Waits until a figure of every sponsor that answers is as it should be.</summary>
    private void WaitForSponsors(string figure, Predicate<long> condition, string otherwise)
    {
        long[] figures = [];
        Assert.True(SpinWait.SpinUntil(() => Array.TrueForAll(figures = FiguresOf(figure), condition), s_deadline), $"{otherwise}: {figure} are {string.Join(", ", figures)}");
    }

    private long[] FiguresOf(string figure)
    {
        using JsonDocument json = JsonDocument.Parse(HecaRun.Command(["cluster", "status", "--json", .. HecaRun.Naming(_sponsors)]).Output);
        return [.. json.RootElement.GetProperty("sponsors").EnumerateArray().Where(sponsor => sponsor.GetProperty("state").GetString() != "no_answer").Select(sponsor => Figure(sponsor, figure))];
    }
}
