using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary><c>heca bench advise</c>: how much local memory is enough for a program.</summary>
public sealed class AdviseTests : IDisposable
{
    private const string Python = "/usr/bin/python3";

    /// <summary>64 MiB, and work on each page that takes longer than it takes to come, four times over.</summary>
    private const string Work = """
        import sys
        a = bytearray(64 << 20)
        s = 0
        for r in range(4):
            for p in range(0, len(a), 4096):
                a[p + r] = (p >> 12) & 127
                s += sum(a[p:p + 1024])
        print(s, sys.stdin.read())
        """;

    /// <summary>Is something else under heca: what is put in for X.</summary>
    private const string Other = """
        import os, sys, time
        a = bytearray(b'x' * (16 << 20))
        if 'HECA_SOCKET' in os.environ:
            X
        time.sleep(0.25)
        """;

    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(120);

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-").FullName;

    public AdviseTests()
    {
        Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");
        Capability.RequirePython();
    }

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void It_runs_a_program_with_less_and_less_memory_and_tells_how_much_is_enough()
    {
        string input = Path.Combine(_directory, "input"), report = Path.Combine(_directory, "report.md");
        File.WriteAllText(input, "some input");
        (int status, string output, string error) = HecaRun.Command(
            "bench", "advise", "--json", "--report", report, "--budgets", "100,30", "--runs", "1", "--slowdown", "1000", "--slowdown-max", "1000", "--same-output",
            "--input", input, "--", Python, "-c", Work);
        Assert.True((status, error) == (0, ""), $"{status} {error}");

        JsonElement json = JsonDocument.Parse(output).RootElement;
        long peak = json.GetProperty("peak_bytes").GetInt64();
        Assert.InRange(peak, 64L << 20, 96L << 20);
        Assert.True(json.GetProperty("outputs_agree").GetBoolean());
        Assert.True(json.GetProperty("statuses_agree").GetBoolean());
        JsonElement[] budgets = [.. json.GetProperty("budgets").EnumerateArray()];
        Assert.Equal([100, 30], budgets.Select(budget => budget.GetProperty("percent").GetDouble()));

        // Whatever is slow is accepted: the smallest is enough, and most of the program was elsewhere.
        JsonElement small = budgets[1], run = Assert.Single(small.GetProperty("runs").EnumerateArray());
        long local = small.GetProperty("local_bytes").GetInt64();
        Assert.InRange(local, peak * 3 / 10, (peak * 3 / 10) + (1 << 20));
        Assert.Equal(local, json.GetProperty("smallest_local_bytes").GetInt64());
        Assert.True(small.GetProperty("is_enough").GetBoolean());
        Assert.InRange(run.GetProperty("resident_peak_bytes").GetInt64(), 1, peak);
        Assert.True(run.GetProperty("pages_out").GetInt64() > 5000, output);
        Assert.True(run.GetProperty("pages_in").GetInt64() > 5000, output);
        Assert.All(budgets, budget => Assert.Equal(Output(json.GetProperty("alone")), Output(budget)));
        double alone = json.GetProperty("alone").GetProperty("time_s").GetProperty("median").GetDouble();
        Assert.Equal(small.GetProperty("time_s").GetProperty("median").GetDouble() / alone, small.GetProperty("slowdown").GetDouble(), 0.006);

        // The same in the report.
        string text = File.ReadAllText(report);
        string size = local % (1 << 20) == 0 ? $"{local >> 20}MiB" : $"{local >> 10}KiB";
        Assert.Contains($"| {size} | 30 % |", text, StringComparison.Ordinal);
        Assert.Contains($"heca run --local {size} --sponsor HOST:PORT -- {Python} -c ", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_program_that_ends_otherwise_under_heca_is_an_error_below_the_table()
    {
        const string what = "print('no such luck', file=sys.stderr); os._exit(4)";
        (int status, string output, string error) = HecaRun.Command("bench", "advise", "--budgets", "100", "--runs", "1", "--", Python, "-c", Other.Replace("X", what, StringComparison.Ordinal));
        Assert.Equal(1, status);
        string told = Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Matches(@"^heca: with [0-9]+MiB here python3 ended with status 4, not 0 \(no such luck\)$", told);
        Assert.Contains("ended with status", output, StringComparison.Ordinal);
    }

    [Fact]
    public void An_interruption_ends_the_program_and_leaves_nothing()
    {
        string trace = Path.Combine(_directory, "trace");
        string script = Other.Replace("X", $"print(os.getpid(), os.getppid(), flush=True, file=open('{trace}', 'w')); time.sleep(600)", StringComparison.Ordinal);
        var start = new ProcessStartInfo(Programs.Heca, ["bench", "advise", "--runs", "1", "--", Python, "-c", script]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["TMPDIR"] = _directory;
        using Process heca = Process.Start(start)!;
        Assert.True(SpinWait.SpinUntil(() => File.Exists(trace) && File.ReadAllText(trace).EndsWith('\n'), Deadline), "it does not come to run under heca");
        string[] processes = File.ReadAllText(trace).Trim().Split(' ');

        _ = Libc.Kill(heca.Id, Libc.SIGTERM);
        Assert.True(heca.WaitForExit(Deadline));
        Assert.Equal(128 + Libc.SIGTERM, heca.ExitCode);
        Assert.Equal("heca: interrupted\n", heca.StandardError.ReadToEnd());
        Assert.Equal("", heca.StandardOutput.ReadToEnd());
        Assert.All(processes, process => Assert.False(Directory.Exists($"/proc/{process}"), $"{process} goes on"));
        Assert.Equal([trace], Directory.GetFileSystemEntries(_directory));
    }

    [Theory]
    [InlineData("/no/such/program", 127, "heca: cannot run /no/such/program: there is no such file")]
    [InlineData("/etc/passwd", 126, "heca: cannot run /etc/passwd: not an executable file")]
    [InlineData("sh -c 'echo it is broken >&2; exit 5'", 1, "heca: sh ends with status 5 without heca already (it is broken)")]
    [InlineData("sh -c 'kill -SEGV $$'", 1, "heca: sh ends with status 139 without heca already")]
    [InlineData("sh -c :", 1, "heca: sh takes 0.# s without heca: less than 0.2 s cannot be compared; give it more to do")]
    [InlineData("sleep 0.3", 1, "heca: sleep has # of memory of its own: too little for anything to be elsewhere (at least 4MiB; what it starts counts with --follow-children)")]
    public void What_cannot_be_compared_is_told_in_a_line(string program, int status, string line)
    {
        string[] words = program.Split('\'') is [var before, var quoted, ..] ? [.. before.Trim().Split(' '), quoted] : program.Split(' ');
        (int actual, string output, string error) = HecaRun.Command(["bench", "advise", "--", .. words]);
        Assert.Equal((status, ""), (actual, output));
        string[] parts = line.Split('#');
        Assert.StartsWith(parts[0], error, StringComparison.Ordinal);
        Assert.EndsWith(parts[^1] + "\n", error, StringComparison.Ordinal);
        Assert.Single(error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Fact]
    public void A_program_that_asks_for_sponsored_memory_itself_has_nothing_to_be_compared_with()
    {
        (int status, string output, string error) = HecaRun.Command("bench", "advise", "--", Programs.Test);
        Assert.Equal((1, ""), (status, output));
        Assert.Equal(
            string.Create(CultureInfo.InvariantCulture, $"heca: {Programs.Test} asks for sponsored memory itself, and does not run without heca: there is nothing to compare with; `heca run --stats` tells what a run was like\n"),
            error);
    }

    private static string Output(JsonElement runs) => runs.GetProperty("runs")[0].GetProperty("output_sha256").GetString()!;
}
