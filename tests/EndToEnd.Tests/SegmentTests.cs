using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Status;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>`heca segment`, and segments that grow and shrink while a program that verifies every page it touches runs (native/tests/elastic.c).</summary>
public sealed class SegmentTests : IDisposable
{
    private const long MiB = 1L << 20;
    private const int SIGCONT = 18, SIGSTOP = 19;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    private readonly string _runtime = Directory.CreateTempSubdirectory("heca-test-segments-").FullName;
    private readonly List<SponsorProcess> _sponsors = [];
    private readonly List<Process> _started = [];

    public SegmentTests() => Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");

    /// <summary>In MiB: what it grows to.</summary>
    private static int Top => Environment.GetEnvironmentVariable("HECA_SHORT") == "1" ? 1024 : 4096;

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
        Directory.Delete(_runtime, recursive: true);
    }

    [Fact]
    public void It_grows_and_shrinks_by_the_programs_calls_with_threads_that_verify_it_and_a_sponsor_that_is_drained()
    {
        StartSponsors(3);
        ElasticProgram program = StartElastic();
        program.Say($"resize {Top}");
        Assert.Equal(0, program.Await("resized"));
        Assert.Equal(Top * MiB, program.Await("at"));
        program.AwaitRemote(32 * MiB);
        Drain(_sponsors[0]);
        program.Say("resize 512");
        Assert.Equal(0, program.Await("resized"));
        Assert.Equal(512 * MiB, program.Await("at"));
        program.Check();
        program.Say("resize 256");
        Assert.Equal(0, program.Await("resized"));
        Assert.Equal(256 * MiB, program.Await("at"));
        program.Say($"resize {Top / 2}");
        Assert.Equal(0, program.Await("resized"));
        Assert.Equal(Top / 2 * MiB, program.Await("at"));
        program.Check();
        program.Stop();
    }

    [Fact]
    public async Task It_grows_and_shrinks_from_outside_with_threads_that_verify_it_and_a_sponsor_that_is_drained()
    {
        StartSponsors(3);
        ElasticProgram program = StartElastic();
        JsonElement segment = Assert.Single(List(program.Run));
        string id = segment.GetProperty("id").GetString()!;
        Assert.Matches("^[0-9a-f]{32}$", id);
        Assert.Equal((256 * MiB, "heca-test-progr", false, 64 << 10), (segment.GetProperty("bytes").GetInt64(), segment.GetProperty("name").GetString(),
            segment.GetProperty("is_captured").GetBoolean(), segment.GetProperty("reserve_bytes").GetInt64() / MiB));

        Resize("grow", id[..12], $"{Top}MiB");
        Assert.Equal(Top * MiB, program.Await("at"));
        program.AwaitRemote(32 * MiB);
        Task drained = Task.Run(() => Drain(_sponsors[0]), TestContext.Current.CancellationToken);
        AssertRefused("the program has used pages that would go: --drop gives their contents up", "shrink", id, "512MiB");
        Resize("shrink", id, "512MiB", "--drop");
        Assert.Equal(512 * MiB, program.Await("at"));
        await drained.WaitAsync(s_deadline, TestContext.Current.CancellationToken);
        program.Check();

        // What the program has given up goes without --drop.
        program.Say("give 300");
        Assert.Equal(0, program.Await("given"));
        Resize("shrink", id, "300MiB");
        program.Check();
        Assert.Equal(300 * MiB, program.Await("at"));

        // To and fro, with no time between.
        foreach (int size in (int[])[Top, 256, Top / 2, 257, Top, 512])
        {
            long before = Assert.Single(List(program.Run)).GetProperty("bytes").GetInt64();
            Resize(size * MiB > before ? "grow" : "shrink", id, $"{size}MiB", size * MiB > before ? [] : ["--drop"]);
            Assert.Equal(size * MiB, program.Await("at"));
        }

        program.Check();
        segment = Assert.Single(List(program.Run));
        Assert.Equal((512 * MiB, 0L), (segment.GetProperty("bytes").GetInt64(), segment.GetProperty("lost_bytes").GetInt64()));
        AssertRefused("it would exceed what the program has reserved", "grow", id, "65GiB");
        AssertRefused("the sponsors cannot take that much", "grow", id, "40GiB");
        AssertRefused("has 512MiB: `heca segment grow` makes that 1GiB", "shrink", id, "1GiB");
        program.Stop();
    }

    /// <summary>A sponsor that is asked to take memory back and does not answer, as one whose network is cut off for a moment: what it has lent is not lent for ever.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_sponsor_that_did_not_answer_gets_back_what_is_not_needed_any_more(int sponsors)
    {
        StartSponsors(sponsors);
        Process run = Heca(["run", .. HecaRun.Naming(_sponsors), "--local", "8MiB", "--stripe", "64MiB", "--", Programs.Test, "idle", "32"]);
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        string id = Assert.Single(List(run)).GetProperty("id").GetString()!;
        Resize("grow", id, "1GiB");
        WaitForLent(lent => lent.Sum() >= 1024 * MiB && lent.Min() >= 128 * MiB, "not all lend");

        Assert.Equal(0, Libc.Kill(_sponsors[^1].Id, SIGSTOP));
        Resize("shrink", id, "64MiB");
        Assert.Equal(0, Libc.Kill(_sponsors[^1].Id, SIGCONT));
        Resize("grow", id, "65MiB");
        WaitForLent(lent => lent.Sum() <= 128 * MiB, "it has not been given back what it did not answer for");
        run.StandardInput.WriteLine();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline));
        WaitForLent(lent => lent.Sum() == 0, "something is lent to nobody");
    }

    [Fact]
    public void All_programs_are_listed_and_what_is_captured_or_not_named_clearly_stays_as_it_is()
    {
        StartSponsors(1);
        Process service = Heca(["pager", .. HecaRun.Naming(_sponsors), "--log-level", "error"]);
        Assert.StartsWith("pager ready on", service.StandardOutput.ReadLine(), StringComparison.Ordinal);
        Process served = Heca(["run", "--local", "8MiB", "--", Programs.Test, "idle", "32"]);
        Process own = Heca(["run", .. HecaRun.Naming(_sponsors), "--local", "8MiB", "--", Programs.Test, "idle", "24"]);
        Process captured = Heca(["run", .. HecaRun.Naming(_sponsors), "--local", "8MiB", "--", Programs.Unaware, "walk", "64", "64", "input"]);
        Assert.Equal(("ready", "ready"), (served.StandardOutput.ReadLine(), own.StandardOutput.ReadLine()));
        HecaRun.WaitUntilRemote(captured.Id, 16 * MiB, _runtime);

        JsonElement ofServed = Assert.Single(List(served)), ofOwn = Assert.Single(List(own));
        Assert.Equal((32 * MiB, 24 * MiB), (ofServed.GetProperty("bytes").GetInt64(), ofOwn.GetProperty("bytes").GetInt64()));
        Assert.All([ofServed, ofOwn], segment => Assert.InRange(segment.GetProperty("resident_bytes").GetInt64(), MiB, 8 * MiB));
        Assert.Equal(32 * MiB, ofServed.GetProperty("remote_bytes").GetInt64() + ofServed.GetProperty("resident_bytes").GetInt64());
        JsonElement window = List(captured).First(segment => segment.GetProperty("remote_bytes").GetInt64() > 8 * MiB);
        Assert.True(window.GetProperty("is_captured").GetBoolean());

        string[] table = Command(["segment", "list"]).Output.Split('\n');
        Assert.Matches("^segment +program +pid +address +size +can be +here +remote +lost$", table[0]);
        Assert.Contains(table, line => line.StartsWith(ofServed.GetProperty("id").GetString()!, StringComparison.Ordinal) && line.Contains(" 32MiB ", StringComparison.Ordinal));
        Assert.Contains(table, line => line.StartsWith(window.GetProperty("id").GetString()!, StringComparison.Ordinal) && line.Contains(" captured ", StringComparison.Ordinal));

        AssertRefused("has mapped itself: only the program changes its size", "grow", window.GetProperty("id").GetString()!, "2GiB");
        AssertRefused("no segment of a running program has an id that begins with", "grow", new string('0', 32), "2GiB");
        AssertRefused("is no segment's id", 2, "shrink", "head", "2GiB", "--drop");
        AssertRefused("is no size", 2, "shrink", ofOwn.GetProperty("id").GetString()!, "much");

        // Through the service's pager too; and a program that does not look at it finds all it had.
        Resize("grow", ofServed.GetProperty("id").GetString()!, "64MiB");
        Resize("grow", ofOwn.GetProperty("id").GetString()!, "64MiB");
        Resize("shrink", ofServed.GetProperty("id").GetString()!, "32MiB");
        foreach (Process run in (Process[])[served, own])
        {
            run.StandardInput.WriteLine();
            Assert.Equal("ok", run.StandardOutput.ReadLine());
            Assert.True(run.WaitForExit(s_deadline));
        }
    }

    private void WaitForLent(Predicate<long[]> condition, string otherwise)
    {
        long[] lent = [];
        Assert.True(SpinWait.SpinUntil(() => condition(lent = HecaRun.LentBy(_sponsors)), s_deadline), $"{otherwise}: lent are {string.Join(", ", lent)}");
    }

    private void StartSponsors(int count)
    {
        for (int i = 0; i < count; i++)
        {
            _sponsors.Add(new SponsorProcess("6GiB"));
        }
    }

    private Process Heca(string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Heca, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment[StatusDirectory.Environment] = _runtime;
        _started.Add(Process.Start(start)!);
        return _started[^1];
    }

    private ElasticProgram StartElastic()
    {
        Process run = Heca(["run", .. HecaRun.Naming(_sponsors), "--local", "16MiB", "--stripe", "256MiB", "--", Programs.Test, "elastic", "256", "4"]);
        return new ElasticProgram(run, _runtime);
    }

    private JsonElement[] List(Process run)
    {
        (int status, string output, string error) = Command(["segment", "list", "--json"]);
        Assert.True(status == 0, error);
        using JsonDocument json = JsonDocument.Parse(output);
        int[] programs = [.. Directory.GetDirectories($"/proc/{run.Id}/task").SelectMany(task => File.ReadAllText(Path.Combine(task, "children")).Split(' ', StringSplitOptions.RemoveEmptyEntries)).Select(int.Parse)];
        return [.. json.RootElement.EnumerateArray().Where(segment => programs.Contains(segment.GetProperty("program").GetInt32())).Select(segment => segment.Clone())];
    }

    private void Resize(string what, string id, string size, params string[] options)
    {
        (int status, string output, string error) = Command(["segment", what, id, size, .. options]);
        Assert.True(status == 0, error);
        Assert.Contains($" has {Hecatonchire.Units.ByteSize.Parse(size)}; it had ", Assert.Single(output.TrimEnd().Split('\n')), StringComparison.Ordinal);
    }

    private void AssertRefused(string why, params string[] arguments) => AssertRefused(why, 1, arguments);

    private void AssertRefused(string why, int expected, params string[] arguments)
    {
        (int status, _, string error) = Command(["segment", .. arguments]);
        Assert.Contains(why, Assert.Single(error.TrimEnd().Split('\n')), StringComparison.Ordinal);
        Assert.Equal(expected, status);
    }

    /// <summary>Runs a command that asks running programs to its end.</summary>
    private (int Status, string Output, string Error) Command(string[] arguments)
    {
        Process heca = Heca(arguments);
        Task<string> output = heca.StandardOutput.ReadToEndAsync(), error = heca.StandardError.ReadToEndAsync();
        Assert.True(heca.WaitForExit(s_deadline), $"heca {string.Join(' ', arguments)} does not end");
        return (heca.ExitCode, output.Result, error.Result);
    }

    private static void Drain(SponsorProcess sponsor)
    {
        (int status, string told, string error) = HecaRun.Command(["drain", sponsor.Name, "--sponsor-key", sponsor.Endpoint.PublicKey, "--admin-key", sponsor.AdminKey]);
        Assert.True(status == 0, told + error);
        Assert.Contains("is empty: it can be stopped", told, StringComparison.Ordinal);
    }

    /// <summary>heca-test-program elastic, and what it says.</summary>
    private sealed class ElasticProgram
    {
        private readonly List<string> _passed = [];
        private readonly Task<string> _error;
        private readonly string _runtime;

        public ElasticProgram(Process run, string runtime)
        {
            (Run, _runtime) = (run, runtime);
            Assert.Equal("ready", run.StandardOutput.ReadLine());
            _error = run.StandardError.ReadToEndAsync();
        }

        public Process Run { get; }

        public void Say(string command) => Run.StandardInput.WriteLine(command);

        /// <summary>The number on the next line that begins so. Lines of another kind may come before it, and are there for who waits for them.</summary>
        public long Await(string kind) => Number(Line(kind), 1);

        public void AwaitRemote(long bytes) => HecaRun.WaitUntilRemote(Run.Id, bytes, _runtime);

        public void Check()
        {
            Say("check");
            Assert.True(Await("checked") > 0, "no page was written");
        }

        public void Stop()
        {
            Say("stop");
            string last = Line("ok");
            Assert.True(Number(last, 1) > 0 && Number(last, 2) > 0, $"pages written, and touched when they had gone: {last}");
            Assert.True(Run.WaitForExit(s_deadline));
            Assert.True(Run.ExitCode == 0, _error.Result);
        }

        private static long Number(string line, int at) => long.Parse(line.Split(' ')[at], CultureInfo.InvariantCulture);

        private string Line(string kind)
        {
            int known = _passed.FindIndex(line => line.StartsWith(kind + " ", StringComparison.Ordinal));
            if (known >= 0)
            {
                string passed = _passed[known];
                _passed.RemoveAt(known);
                return passed;
            }

            for (Task<string?> read = Read(); read.Wait(s_deadline) && read.Result is { } line; read = Read())
            {
                if (line.StartsWith(kind + " ", StringComparison.Ordinal))
                {
                    return line;
                }

                Assert.Matches("^(at|resized|checked|given) [0-9]+$", line);
                _passed.Add(line);
            }

            Task<string?> Read() => Run.StandardOutput.ReadLineAsync();
            Assert.Fail($"the program does not say '{kind}'; it has said {string.Join(", ", _passed)}: {(Run.HasExited ? _error.Result : "it runs")}");
            return "";
        }
    }
}
