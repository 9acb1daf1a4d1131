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
        var totals = new Totals();
        var broken = new List<string>();
        bool isTraced = Environment.GetEnvironmentVariable("HECA_SIMULATION_TRACE") is not null;
        foreach (int seed in ChosenSeeds())
        {
            if (isTraced)
            {
                // A corrupt page table ends the process: only this line then tells the seed.
                Console.Error.WriteLine($"seed {seed}, {eviction}");
            }

            if (Replay(SimulationSettings.FromSeed(seed) with { Eviction = kind }, totals) is { } problem)
            {
                broken.Add(problem);
            }
        }

        Assert.True(broken.Count == 0, $"{broken.Count} seeds\n" + string.Join("\n", broken.Take(10)));
        Assert.True(totals.Accesses > 0);
        if (ChosenSeeds().Count() > 1)
        {
            Assert.True(totals.Cleaned > 0, "no page was cleaned");
            Assert.True(totals.Changes > 0, "no address space was changed");
            Assert.True(totals.Rebuilds > 0, "no connection was rebuilt");
            Assert.True(totals.Captured > 0, "no memory was captured");
            Assert.True(totals.Adopted > 0, "no page was adopted");
            Assert.True(totals.Deaths > 0, "no pager died");
            Assert.True(totals.ChangesTakenOver > 0, "no pager went on with a change that another had read");
            Assert.True(totals.ChildrenTakenOver > 0, "no child went on with another pager");
            Assert.True(totals.Losses > 0, "no sponsor of several was lost");
            Assert.True(totals.Grown > 0 && totals.Shrunk > 0 && totals.Dropped > 0 && totals.InUse > 0 && totals.Busy > 0, "not everything was tried from outside");
            Assert.True(totals.Beyond > 0, "no page that had gone was touched");
            Assert.True(totals.DeathsOutside > 0, "no pager died while a segment was changed from outside");
            Assert.True(totals.Forks > 0 && totals.ChildAccesses > 0, "no child was forked");
        }
    }

    /// <summary>Runs one simulation; what is wrong and how to see it again, or null.</summary>
    internal static string? Replay(SimulationSettings settings, Totals totals)
    {
        using var simulation = new Simulation(settings);
        try
        {
            simulation.Run();
            totals.Add(simulation);
            return null;
        }
        catch (Exception e)
        {
            return $"seed {settings.Seed}: {e.Message}\nreplay: HECA_SEED={settings.Seed} "
                + $"tests/Simulation.Tests/bin/Debug/net10.0/Simulation.Tests -class {typeof(SimulationTests).FullName}\n"
                + $"{settings}\n{(e is SimulationException ? "" : e)}";
        }
    }

    /// <summary>What all the seeds together did: a rule that was never tried shows nothing.</summary>
    internal sealed class Totals
    {
        public long Accesses { get; private set; }

        public long Cleaned { get; private set; }

        public long Rebuilds { get; private set; }

        public long Changes { get; private set; }

        public long Captured { get; private set; }

        public long Adopted { get; private set; }

        public long Forks { get; private set; }

        public long ChildAccesses { get; private set; }

        public long Deaths { get; private set; }

        public long ChildrenTakenOver { get; private set; }

        public long ChangesTakenOver { get; private set; }

        public long Stops { get; private set; }

        public long Losses { get; private set; }

        public long Grown { get; private set; }

        public long Shrunk { get; private set; }

        public long Dropped { get; private set; }

        public long InUse { get; private set; }

        public long Busy { get; private set; }

        public long Beyond { get; private set; }

        public long DeathsOutside { get; private set; }

        public void Add(Simulation simulation)
        {
            Grown += simulation.Grown;
            Shrunk += simulation.Shrunk;
            Dropped += simulation.Dropped;
            InUse += simulation.InUse;
            Busy += simulation.Busy;
            Beyond += simulation.Beyond;
            DeathsOutside += simulation.DeathsOutside;
            Losses += simulation.Losses;
            Deaths += simulation.Deaths;
            ChildrenTakenOver += simulation.ChildrenTakenOver;
            ChangesTakenOver += simulation.ChangesTakenOver;
            Stops += simulation.Stops;
            Forks += simulation.Forks;
            ChildAccesses += simulation.ChildAccesses;
            Accesses += simulation.Accesses;
            Cleaned += simulation.Core.Counters.PagesCleaned;
            Rebuilds += simulation.Rebuilds;
            Changes += simulation.Changes;
            Captured += simulation.Captured;
            Adopted += simulation.Core.Counters.PagesAdopted;
        }
    }

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
}
