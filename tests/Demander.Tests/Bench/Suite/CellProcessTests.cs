using System.Diagnostics;
using Hecatonchire.Bench.Suite;
using Xunit;

namespace Hecatonchire.Tests.Bench.Suite;

/// <summary>Real processes, of which a shell is the smallest.</summary>
public sealed class CellProcessTests
{
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(1);

    [Fact]
    public void Output_progress_and_status_of_a_command()
    {
        List<(string, int)> progress = [];
        CellEnd end = Run("echo '{}'; echo 'scan: fill 7 %' >&2; echo 'scan: page out 100 %' >&2; echo 'heca: no such thing: at all' >&2; exit 3", Long, progress);
        Assert.Equal((3, "{}\n", "heca: no such thing: at all", false), (end.Status, end.Output, end.Complaint, end.TimedOut));
        Assert.Equal([("fill", 7), ("page out", 100)], progress);
    }

    [Fact]
    public void What_takes_too_long_is_told_to_end()
    {
        CellEnd end = Run("trap 'kill $!; echo ending; exit 5' TERM; sleep 60 & wait; echo not reached", TimeSpan.FromMilliseconds(300));
        Assert.Equal((5, "ending\n", true), (end.Status, end.Output, end.TimedOut));
    }

    [Fact]
    public void An_interruption_waits_for_the_command_to_clear_up()
    {
        string trace = Path.GetTempFileName();
        using var source = new CancellationTokenSource();
        try
        {
            // Progress says that the trap is set.
            Assert.Throws<OperationCanceledException>(() => CellProcess.Run(
                "/bin/sh",
                ["-c", $"trap 'kill $!; sleep 0.2; echo cleared > {trace}; exit 0' TERM; echo 'x: fill 0 %' >&2; sleep 60 & wait"],
                Long,
                (_, _) => source.Cancel(),
                source.Token));
            Assert.Equal("cleared\n", File.ReadAllText(trace));
        }
        finally
        {
            File.Delete(trace);
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("scan: fill x %")]
    [InlineData("scan: 12 %")]
    [InlineData("scan fill 12 %")]
    public void What_is_no_progress_is_not_taken_for_it(string? line) =>
        Assert.Null(CellProcess.ParseProgress(line));

    private static CellEnd Run(string script, TimeSpan limit, List<(string, int)>? progress = null)
    {
        long start = Stopwatch.GetTimestamp();
        CellEnd end = CellProcess.Run("/bin/sh", ["-c", script], limit, (phase, percent) => progress?.Add((phase, percent)), CancellationToken.None);
        Assert.InRange(end.Time, TimeSpan.FromTicks(1), Stopwatch.GetElapsedTime(start));
        return end;
    }
}
