using System.Security.Cryptography;
using Hecatonchire.Bench.Advise;
using Hecatonchire.Cli;
using Hecatonchire.Interop;
using Xunit;

namespace Hecatonchire.Tests.Bench.Advise;

/// <summary>Real processes, of which a shell is the smallest.</summary>
public sealed class MeasuredProgramTests : IDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-").FullName;

    private string Trace => Path.Combine(_directory, "trace");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Status_output_and_the_last_line_of_what_it_complains_of()
    {
        string input = Path.Combine(_directory, "an input");
        File.WriteAllText(input, "one\ntwo\n");
        ProgramEnd end = Program("cat; echo \"$1\"; echo first >&2; echo last >&2; echo >&2; exit 7", input, "a b").Run(null, null, CancellationToken.None);
        Assert.Equal((7, "last", false), (end.Status, end.LastLine, end.IsStopped));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData("one\ntwo\na b\n"u8)), end.OutputSha256);

        // From the beginning, each time.
        Assert.Equal(end.OutputSha256, Program("cat; echo 'a b'", input).Run(null, null, CancellationToken.None).OutputSha256);
    }

    [Fact]
    public void What_the_log_of_heca_run_warns_of_is_kept()
    {
        const string script = """
            echo 'warn: of the program' >&2
            echo '2025-01-02T03:04:05.678Z info: heca.run[0] Program 1 started' >&2
            echo '2025-01-02T03:04:05.678Z warn: heca.pager[12] The sponsor has no more memory to lend' >&2
            echo '2025-01-02T03:04:06.678Z fail: heca.pager[13] And so on' >&2
            """;
        Assert.Equal("The sponsor has no more memory to lend", (Program(script) with { IsHeca = true }).Run(null, null, CancellationToken.None).Warning);
        Assert.Null(Program(script).Run(null, null, CancellationToken.None).Warning);
    }

    [Fact]
    public void A_signal_is_a_status_and_without_output_there_is_a_sum_of_nothing()
    {
        ProgramEnd end = Program("kill -BUS $$").Run(null, null, CancellationToken.None);
        Assert.Equal((128 + 7, null), (end.Status, end.LastLine));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData([])), end.OutputSha256);
    }

    [Fact]
    public void What_takes_too_long_is_ended()
    {
        ProgramEnd end = Program("exec sleep 600").Run(TimeSpan.FromMilliseconds(200), null, CancellationToken.None);
        Assert.True(end.IsStopped);
        Assert.Equal(128 + 15, end.Status);
    }

    [Fact]
    public void Nothing_that_a_program_has_started_is_left_however_stubborn_it_is()
    {
        Interrupt(Program($"trap '' TERM; sh -c 'sleep 600 & echo $! > {Trace}; wait' & wait; sleep 600") with { Grace = TimeSpan.FromMilliseconds(200) });
        CheckEnded();
    }

    [Fact]
    public void An_interruption_is_told_after_the_program_has_cleared_up()
    {
        string cleared = Path.Combine(_directory, "cleared");
        Interrupt(Program($"trap 'echo cleared > {cleared}; exit 5' TERM; sleep 600 & echo $! > {Trace}; wait"));
        Assert.Equal("cleared\n", File.ReadAllText(cleared));
        CheckEnded();
    }

    [Fact]
    public void A_program_that_goes_on_after_its_end_cannot_be_measured()
    {
        MeasuredProgram program = Program($"sleep 600 & echo $! > {Trace}") with { Grace = TimeSpan.FromMilliseconds(200) };
        CommandException error = Assert.Throws<CommandException>(() => program.Run(null, null, CancellationToken.None));
        _ = Libc.Kill(int.Parse(File.ReadAllText(Trace)), Libc.SIGKILL);
        Assert.Equal("sh leaves something behind that goes on (it holds its output open): what is measured has to end with it", error.Message);
    }

    /// <summary>Runs it, and interrupts it once it has started all.</summary>
    private void Interrupt(MeasuredProgram program)
    {
        using var source = new CancellationTokenSource();
        Task<ProgramEnd> run = Task.Run(() => program.Run(null, null, source.Token));
        Assert.True(SpinWait.SpinUntil(() => File.Exists(Trace) && File.ReadAllText(Trace).EndsWith('\n'), s_deadline), "it does not start");
        source.Cancel();
        AggregateException told = Assert.Throws<AggregateException>(() => run.Wait(s_deadline));
        Assert.IsType<OperationCanceledException>(told.InnerException, exactMatch: false);
    }

    /// <summary>The number is not another process's yet.</summary>
    private void CheckEnded()
    {
        int left = int.Parse(File.ReadAllText(Trace));
        Assert.True(
            SpinWait.SpinUntil(() => !Directory.Exists($"/proc/{left}") || File.ReadAllText($"/proc/{left}/stat").Contains(") Z", StringComparison.Ordinal), s_deadline),
            $"{left} goes on");
    }

    private static MeasuredProgram Program(string script, string input = "/dev/null", params string[] arguments) =>
        new("/bin/sh", ["-c", script, "name", .. arguments], input, IsHeca: false);
}
