using System.Globalization;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Reconnecting;
using Xunit;

namespace Hecatonchire.Tests.Transport.Reconnecting;

public sealed class LinkSimulationTests
{
    private const int Seeds = 400;

    /// <summary>HECA_SEED: only this one. HECA_SIMULATION_SEEDS: so many, instead of <see cref="Seeds"/>.</summary>
    private static IEnumerable<int> ChosenSeeds() => Number("HECA_SEED") is int seed
        ? [seed]
        : Enumerable.Range(1, Number("HECA_SIMULATION_SEEDS") ?? Seeds);

    [Fact]
    public void Every_request_completes_once_and_as_if_no_connection_had_broken()
    {
        long completed = 0, rebuilds = 0, lost = 0;
        List<string> broken = [];
        foreach (int seed in ChosenSeeds())
        {
            using LinkSimulation simulation = new(LinkSettings.FromSeed(seed));
            if (Run(simulation) is { } problem)
            {
                broken.Add($"seed {seed}: {problem}");
            }

            completed += simulation.Completed;
            rebuilds += simulation.Rebuilds;
            lost += simulation.IsLost ? 1 : 0;
        }

        Assert.True(broken.Count == 0, $"{broken.Count} seeds\n" + string.Join("\n", broken.Take(5)));
        Assert.True(completed > 0);
        Assert.True((rebuilds > 0 && lost > 0) || Number("HECA_SEED") is not null, "no link was rebuilt or none was lost: this shows nothing");
    }

    /// <summary>The checker's own test: a sponsor that lets stragglers through.</summary>
    [Fact]
    public void A_sponsor_without_a_fence_is_found_out()
    {
        int found = 0;
        for (int seed = 1; seed <= 100; seed++)
        {
            using LinkSimulation simulation = new(LinkSettings.FromSeed(seed) with { HasFence = false, IsOneSided = false });
            found += Run(simulation) is null ? 0 : 1;
        }

        Assert.True(found > 10, $"{found} of 100 seeds notice");
    }

    /// <summary>An RDMA farewell that meets a card that is down can cost the host its device (soft RoCE): none is sent into an outage.</summary>
    [Fact]
    public void What_has_broken_is_ended_once_the_sponsor_answers_again()
    {
        StragglingSponsor sponsor = new(new Random(1), slots: 1);
        using DataLink link = new(sponsor, connections: 2, new DataLinkOptions(), TimeProvider.System);
        Span<DataCompletion> completions = stackalloc DataCompletion[4];
        sponsor.Opened.ForEach(connection => connection.Break());
        sponsor.IsAway = true;
        for (int i = 0; i < 3; i++)
        {
            _ = link[0].Poll(completions);
            _ = link[1].Poll(completions);
            Assert.NotEqual(LinkStep.Rebuilt, link.Step());
        }

        Assert.Equal(LinkStep.Failed, link.Step());
        Assert.DoesNotContain(sponsor.Opened, connection => connection.IsDisposed);

        sponsor.IsAway = false;
        Assert.Equal(LinkStep.Rebuilt, link.Step());
        Assert.Equal([true, true, false, false], sponsor.Opened.Select(connection => connection.IsDisposed));
    }

    private static string? Run(LinkSimulation simulation)
    {
        try
        {
            simulation.Run();
            return null;
        }
        catch (Exception problem) when (problem is InvalidOperationException or ObjectDisposedException)
        {
            return problem is ObjectDisposedException ? problem.ToString() : problem.Message;
        }
    }

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
