using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Host;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>Sponsors that offer less, or more, or come back, while a program that verifies its memory runs.</summary>
public sealed class DrainTests : IDisposable
{
    private const long MiB = 1L << 20;

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(120);

    private readonly List<SponsorProcess> _sponsors = [];

    public DrainTests() => Capability.Require("move", UserfaultfdOpening.Try().CanMove, "this kernel has no UFFDIO_MOVE (it is in Linux 6.8)");

    public void Dispose() => _sponsors.ForEach(sponsor => sponsor.Dispose());

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Each_sponsor_in_turn_is_drained_and_stopped_and_the_program_loses_nothing(int replicas)
    {
        StartSponsors(3, "512MiB");
        using Process run = StartWalk(replicas);
        foreach (SponsorProcess sponsor in _sponsors)
        {
            (int status, string told, string error) = Drain(sponsor);
            Assert.True(status == 0, told + error);
            Assert.Contains($"{sponsor.Name} is empty: it can be stopped", told, StringComparison.Ordinal);
            sponsor.Kill();
            HecaRun.WaitUntil(run.Id, report => report.GetProperty("sponsors").GetInt64() == 2, "nobody notices that it has been stopped");
            sponsor.StartAgain();
            HecaRun.WaitUntil(
                run.Id,
                report => report.GetProperty("sponsors").GetInt64() == 3 && report.GetProperty("stripes_lacking").GetInt64() == 0,
                "it is not taken back, or something lacks a replica");
        }

        EndWalk(run);
    }

    [Fact]
    public void A_lower_offer_is_met_a_higher_one_is_used_and_who_comes_back_gets_a_share()
    {
        StartSponsors(2, "1GiB");
        using Process run = StartWalk(1);
        WaitForSponsors(lent => lent.Min() >= 64 * MiB, "two sponsors do not both lend");

        SponsorProcess first = _sponsors[0];
        (int status, string told, string error) = Offer(first, "64MiB");
        Assert.True(status == 0, error);
        Assert.StartsWith($"{first.Name} offers 64MiB, of which 64MiB is lent", told, StringComparison.Ordinal);
        WaitForSponsors(lent => lent[0] <= 64 * MiB && lent[1] >= 128 * MiB, "what is lent beyond the offer does not move");
        Assert.Equal(0, Offer(first, "0").Status);
        WaitForSponsors(lent => lent[0] == 0, "not everything moves");

        Assert.Equal(0, Offer(first, "1GiB").Status);
        WaitForSponsors(lent => lent[0] >= 64 * MiB, "who offers memory again gets no share");
        EndWalk(run);
    }

    [Fact]
    public void What_has_nowhere_to_go_stays_and_that_is_told()
    {
        StartSponsors(2, "256MiB");
        using Process run = StartWalk(1);
        Assert.Equal(0, Offer(_sponsors[1], "64MiB").Status);
        WaitForSponsors(lent => lent[1] <= 64 * MiB, "the second does not become small");
        (int status, _, string error) = Drain(_sponsors[0], "--timeout", "3");
        Assert.Equal(1, status);
        string line = Assert.Single(error.TrimEnd().Split('\n'));
        Assert.Matches($"^heca: {_sponsors[0].Name} still has [0-9]+MiB lent to 1 demanders: their other sponsors have no room, or they have none$", line);
        EndWalk(run);
    }

    [Fact]
    public void The_state_of_the_cluster_is_one_table_or_one_object()
    {
        StartSponsors(2, "256MiB");
        _sponsors[1].Kill();
        (int status, string told, _) = HecaRun.Command(["cluster", "status", .. HecaRun.Naming(_sponsors)]);
        Assert.Equal(1, status);
        string[] lines = told.Split('\n');
        Assert.Matches("^sponsor +state +offered +lent +free +demanders +pages read +pages written +labels$", lines[0]);
        Assert.Matches($"^{_sponsors[0].Name} +ok +256MiB +0B +256MiB +0 +0 +0 +host=test-[0-9]+$", lines[1]);
        Assert.Matches($"^{_sponsors[1].Name} +sponsor {_sponsors[1].Name} did not answer within 3 s: no sponsor is running there", lines[2]);
        long[] lent = Lent(out JsonElement[] sponsors);
        Assert.Equal([0, 0], lent);
        Assert.Equal(0, Offer(_sponsors[0], "0").Status);
        _ = Lent(out JsonElement[] drained);
        Assert.Equal("drained", drained[0].GetProperty("state").GetString());
        Assert.Equal(["ok", "no_answer"], sponsors.Select(sponsor => sponsor.GetProperty("state").GetString()));
    }

    [Theory]
    [InlineData("--admin-key /nowhere/sponsor.admin", "cannot be read", 2)]
    [InlineData("--admin-key /etc/hostname", "holds no admin key (64 hexadecimal digits)", 2)]
    [InlineData("--admin-key {other}", "does not allow it: this is not the key in its sponsor.admin", 1)]
    [InlineData("--admin-key {own} --timeout -1", "--timeout '-1': write seconds, 0 or more", 2)]
    public void Who_may_not_drain_is_told_in_one_line(string options, string expected, int expectedStatus)
    {
        StartSponsors(2, "64MiB");
        options = options.Replace("{own}", _sponsors[0].AdminKey, StringComparison.Ordinal).Replace("{other}", _sponsors[1].AdminKey, StringComparison.Ordinal);
        (int status, _, string error) = HecaRun.Command(["drain", _sponsors[0].Name, "--sponsor-key", _sponsors[0].Endpoint.PublicKey, .. options.Split(' ')]);
        Assert.Equal(expectedStatus, status);
        Assert.Contains(expected, Assert.Single(error.TrimEnd().Split('\n')), StringComparison.Ordinal);
    }

    private void StartSponsors(int count, string memory)
    {
        for (int i = 0; i < count; i++)
        {
            _sponsors.Add(new SponsorProcess(memory));
        }
    }

    /// <summary>192 MiB, of which most is soon remote, in stripes of 64 MiB.</summary>
    private Process StartWalk(int replicas)
    {
        Process run = HecaRun.Start(
            _sponsors, "", "--local", "16MiB", "--stripe", "64MiB", "--replicas", replicas.ToString(CultureInfo.InvariantCulture), "--stats", "--", Programs.Unaware, "walk", "192", "64", "input");
        HecaRun.WaitUntil(run.Id, report => report.GetProperty("remote_bytes").GetInt64() > 160 * MiB, "nothing becomes remote");
        return run;
    }

    private static void EndWalk(Process run)
    {
        Assert.False(run.HasExited, "the program ended");
        run.StandardInput.Close();
        Assert.Equal("ok", run.StandardOutput.ReadLine());
        Assert.True(run.WaitForExit(s_deadline));
        string told = run.StandardError.ReadToEnd();
        Assert.Contains(" 0 lost", told, StringComparison.Ordinal);
        Assert.Equal(0, run.ExitCode);
    }

    private static (int Status, string Output, string Error) Drain(SponsorProcess sponsor, params string[] options) =>
        HecaRun.Command(["drain", sponsor.Name, "--sponsor-key", sponsor.Endpoint.PublicKey, "--admin-key", sponsor.AdminKey, .. options]);

    private static (int Status, string Output, string Error) Offer(SponsorProcess sponsor, string size) =>
        HecaRun.Command(["offer", sponsor.Name, size, "--sponsor-key", sponsor.Endpoint.PublicKey, "--admin-key", sponsor.AdminKey]);

    private void WaitForSponsors(Predicate<long[]> condition, string otherwise)
    {
        long[] lent = [];
        Assert.True(SpinWait.SpinUntil(() => condition(lent = Lent(out _)), s_deadline), $"{otherwise}: lent are {string.Join(", ", lent)}");
    }

    private long[] Lent(out JsonElement[] sponsors)
    {
        using JsonDocument json = JsonDocument.Parse(HecaRun.Command(["cluster", "status", "--json", .. HecaRun.Naming(_sponsors)]).Output);
        sponsors = [.. json.RootElement.GetProperty("sponsors").EnumerateArray().Select(sponsor => sponsor.Clone())];
        return [.. sponsors.Select(sponsor => sponsor.GetProperty("lent_bytes").GetInt64())];
    }
}
