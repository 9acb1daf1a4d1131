using System.Globalization;
using Hecatonchire.Eviction;
using Hecatonchire.Tests.Kernel;
using Xunit;

namespace Hecatonchire.Tests.Simulations;

public class SimulationTests
{
    private const int Seeds = 150;

    /// <summary>HECA_SEED: only this one. HECA_SIMULATION_SEEDS: so many, instead of <see cref="Seeds"/>.</summary>
    private static IEnumerable<int> ChosenSeeds()
    {
        if (Number("HECA_SEED") is int seed)
        {
            return [seed];
        }

        return Enumerable.Range(1, Number("HECA_SIMULATION_SEEDS") ?? Seeds);
    }

    [Theory]
    [InlineData("fifo")]
    [InlineData("s3-fifo")]
    [InlineData("sieve")]
    [InlineData("behind-stream")]
    public void Every_rule_holds_whatever_the_schedule(string eviction)
    {
        Assert.True(EvictionKinds.TryParse(eviction, out EvictionKind kind));
        long accesses = 0, cleaned = 0, rebuilds = 0, changes = 0;
        var broken = new List<string>();
        bool isTraced = Environment.GetEnvironmentVariable("HECA_SIMULATION_TRACE") is not null;
        foreach (int seed in ChosenSeeds())
        {
            if (isTraced)
            {
                // A corrupt page table ends the process: only this line then tells the seed.
                Console.Error.WriteLine($"seed {seed}, {eviction}");
            }

            if (Replay(SimulationSettings.FromSeed(seed) with { Eviction = kind }, ref accesses, ref cleaned, ref rebuilds, ref changes) is { } problem)
            {
                broken.Add(problem);
            }
        }

        Assert.True(broken.Count == 0, $"{broken.Count} seeds\n" + string.Join("\n", broken.Take(10)));
        Assert.True(accesses > 0);
        Assert.True(cleaned > 0 || ChosenSeeds().Count() == 1, "no page was cleaned");
        Assert.True(changes > 0 || ChosenSeeds().Count() == 1, "no address space was changed");
        Assert.True(rebuilds > 0 || ChosenSeeds().Count() == 1, "no connection was rebuilt");
    }

    /// <summary>Runs one simulation; what is wrong and how to see it again, or null.</summary>
    internal static string? Replay(SimulationSettings settings, ref long accesses, ref long cleaned, ref long rebuilds, ref long changes)
    {
        using var simulation = new Simulation(settings);
        try
        {
            simulation.Run();
            accesses += simulation.Accesses;
            cleaned += simulation.Core.Counters.PagesCleaned;
            rebuilds += simulation.Rebuilds;
            changes += simulation.Changes;
            return null;
        }
        catch (Exception e)
        {
            return $"seed {settings.Seed}: {e.Message}\nreplay: HECA_SEED={settings.Seed} "
                + $"tests/Simulation.Tests/bin/Debug/net10.0/Simulation.Tests -class {typeof(SimulationTests).FullName}\n"
                + $"{settings}\n{(e is SimulationException ? "" : e)}";
        }
    }

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
