using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>Memory spread over several sponsors, and kept on more than one of them.</summary>
public sealed partial class ReplicationTests : IDisposable
{
    private const int SIGSTOP = 19;
    private const int SIGCONT = 18;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(240);

    private readonly List<SponsorProcess> _sponsors = [];

    public ReplicationTests() => Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");

    public void Dispose() => _sponsors.ForEach(sponsor => sponsor.Dispose());

    /// <summary>Each is killed as soon as what the last one had is whole again.</summary>
    [Fact]
    public void Ten_sponsors_are_killed_one_after_another_and_every_byte_is_right()
    {
        StartSponsors(3);
        using Process run = Start(["--local", "16MiB", "--replicas", "2", "--stats"], Programs.Unaware, "walk", "64", "64", "input");
        HecaRun.WaitUntil(run.Id, report => report.GetProperty("remote_bytes").GetInt64() > 32 << 20, "nothing becomes remote");
        for (int kills = 0; kills < 10; kills++)
        {
            Assert.False(run.HasExited, $"the walk ended after {kills} kills");
            SponsorProcess sponsor = _sponsors[kills % 3];
            sponsor.Kill();
            HecaRun.WaitUntil(run.Id, report => report.GetProperty("sponsors_lost").GetInt64() == 1, "nobody notices");
            sponsor.StartAgain();
            HecaRun.WaitUntil(
                run.Id,
                report => report.GetProperty("sponsors").GetInt64() == 3 && report.GetProperty("sponsors_lost").GetInt64() == 0 && report.GetProperty("stripes_lacking").GetInt64() == 0,
                $"after kill {kills + 1} the stripes do not become whole");
        }

        run.StandardInput.Close();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline));
        string told = run.StandardError.ReadToEnd();
        Assert.Equal(0, run.ExitCode);
        Assert.Contains(" 0 lost", told, StringComparison.Ordinal);
        TestContext.Current.TestOutputHelper?.WriteLine(told);
    }

    [Fact]
    public void Memory_that_was_asked_for_survives_a_sponsor_too()
    {
        StartSponsors(2);
        using Process run = Start(["--local", "8MiB", "--replicas", "2"], Programs.Test, "lost", "64");
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        _sponsors[0].Kill();
        run.StandardInput.WriteLine();
        Assert.Equal("all there", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline));
        Assert.Equal(0, run.ExitCode);
    }

    /// <summary>A sponsor that is stopped and goes on later has missed writes: it is never read for them.</summary>
    [Fact]
    public void A_sponsor_that_falls_silent_is_left_and_comes_back_without_old_versions()
    {
        StartSponsors(2);
        using Process run = Start(["--local", "16MiB", "--replicas", "2", "--stats"], Programs.Unaware, "walk", "64", "64", "input");
        HecaRun.WaitUntil(run.Id, report => report.GetProperty("remote_bytes").GetInt64() > 32 << 20, "nothing becomes remote");
        for (int silences = 0; silences < 3; silences++)
        {
            SponsorProcess sponsor = _sponsors[silences % 2];
            Assert.Equal(0, Libc.Kill(sponsor.Id, SIGSTOP));
            HecaRun.WaitUntil(run.Id, report => report.GetProperty("stripes_lacking").GetInt64() > 0, "its silence is not noticed");
            Thread.Sleep(500);
            Assert.False(run.HasExited, "the program ended");
            Assert.Equal(0, Libc.Kill(sponsor.Id, SIGCONT));
            HecaRun.WaitUntil(run.Id, report => report.GetProperty("stripes_lacking").GetInt64() == 0, "the stripes do not become whole again");
        }

        run.StandardInput.Close();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline));
        Assert.Contains(" 0 lost", run.StandardError.ReadToEnd(), StringComparison.Ordinal);
        Assert.Equal(0, run.ExitCode);
    }

    /// <summary>Without replicas only what was on the sponsor that died is lost, and its name is told.</summary>
    [Fact]
    public void Without_replicas_a_killed_sponsor_is_a_SIGBUS_for_what_it_had()
    {
        StartSponsors(2);
        using Process run = Start(["--local", "8MiB", "--stripe", "64MiB"], Programs.Test, "lost", "256");
        Assert.Equal("ready", run.StandardOutput.ReadLine());
        _sponsors[0].Kill();
        run.StandardInput.WriteLine();
        Assert.Equal("SIGBUS", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline));
        string told = run.StandardError.ReadToEnd();
        Assert.Equal(1, run.ExitCode);
        Match lost = LostPattern().Match(told);
        Assert.True(lost.Success, told);
        Assert.Equal(_sponsors[0].Endpoint.Port.ToString(CultureInfo.InvariantCulture), lost.Groups[1].Value);
        Assert.InRange(int.Parse(lost.Groups[2].Value, CultureInfo.InvariantCulture), 1, 128 * 256);
        Assert.Matches("The first that it touched is at 0x[0-9a-f]+, in segment [0-9]+: 256MiB from 0x[0-9a-f]+ on", told);
    }

    [Theory]
    [InlineData("--replicas 2", "--replicas 2 takes as many sponsors, and there is 1")]
    [InlineData("--replicas 9", "write a number from 1 to 3")]
    [InlineData("--stripe 3MiB", "write a power of two")]
    [InlineData("--read-policy best", "--read-policy 'best'")]
    [InlineData("--hedge maybe", "--hedge 'maybe'")]
    public void Wrong_ways_to_spread_are_told_in_one_line(string options, string expected)
    {
        StartSponsors(1);
        using Process run = Start(options.Split(' '), "true");
        string told = run.StandardError.ReadToEnd();
        Assert.True(run.WaitForExit(s_deadline));
        Assert.Equal(2, run.ExitCode);
        Assert.Contains(expected, Assert.Single(told.TrimEnd().Split('\n')), StringComparison.Ordinal);
    }

    private void StartSponsors(int count)
    {
        for (int i = 0; i < count; i++)
        {
            _sponsors.Add(new SponsorProcess("512MiB"));
        }
    }

    private Process Start(string[] options, params string[] program) => HecaRun.Start(_sponsors, "", [.. options, "--", .. program]);

    [GeneratedRegex(@"sponsor 127\.0\.0\.1:(\d+) is lost \(.*\): (\d+) pages had their only copy there")]
    private static partial Regex LostPattern();
}
