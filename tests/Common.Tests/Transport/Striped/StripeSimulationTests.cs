using System.Globalization;
using Xunit;

namespace Hecatonchire.Tests.Transport.Striped;

public sealed class StripeSimulationTests
{
    private const int Seeds = 400;

    /// <summary>HECA_SEED: only this one. HECA_SIMULATION_SEEDS: so many, instead of <see cref="Seeds"/>.</summary>
    private static IEnumerable<int> ChosenSeeds() => Number("HECA_SEED") is int seed
        ? [seed]
        : Enumerable.Range(1, Number("HECA_SIMULATION_SEEDS") ?? Seeds);

    [Fact]
    public void Every_request_completes_once_with_the_newest_version_whatever_becomes_of_sponsors()
    {
        long completed = 0, replicas = 0, stripes = 0, filled = 0, moved = 0, corrupted = 0, repaired = 0, hedged = 0, won = 0, replaced = 0, opened = 0;
        List<string> broken = [];
        foreach (int seed in ChosenSeeds())
        {
            using StripeSimulation simulation = new(StripeSettings.FromSeed(seed));
            if (Run(simulation) is { } problem)
            {
                broken.Add($"seed {seed}: {problem}");
            }

            completed += simulation.Completed;
            replicas += simulation.ReplicasLost;
            stripes += simulation.StripesLost;
            filled += simulation.Filled;
            moved += simulation.Moved;
            corrupted += simulation.Corrupted;
            repaired += simulation.Repaired;
            hedged += simulation.Hedged;
            won += simulation.HedgesWon;
            replaced += simulation.Replaced;
            opened += simulation.Opened;
        }

        Assert.True(broken.Count == 0, $"{broken.Count} seeds\n" + string.Join("\n", broken.Take(5)));
        Assert.True(completed > 0);
        Assert.True(
            Number("HECA_SEED") is not null || (replicas > 100 && stripes > 0 && filled > 100 && moved > 100 && corrupted > 1000 && repaired > 50 && hedged > 500 && won > 250 && replaced > 100 && opened > 10_000),
            $"{replicas} replicas lost, {stripes} stripes, {filled} filled, {moved} moved, {corrupted} corrupted, {repaired} repaired, {hedged} hedged, {won} won, {replaced} replaced, {opened} opened: this shows nothing");
    }

    private static string? Run(StripeSimulation simulation)
    {
        try
        {
            simulation.Run();
            return null;
        }
        catch (Exception problem)
        {
            return problem is InvalidOperationException ? problem.Message : problem.ToString();
        }
    }

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
