using Hecatonchire.Tests.Kernel;
using Hecatonchire.Transport;
using Xunit;

namespace Hecatonchire.Tests.Simulations;

/// <summary>A checker's verdict counts only when it catches what is broken on purpose.</summary>
public class BuggyControlTests
{
    private static SimulationSettings Honest(int seed) => SimulationSettings.FromSeed(seed) with
    {
        TakeCopies = false,
        Local = "1MiB",
        DropsByProgram = false,
        Rude = false,
        ReaderEndsAt = 0,
        WriterEndsAt = 0,
        CutsPerMillion = 0,
        OutsidePerThousand = 0,
        PressurePerThousand = 0,
    };

    [Fact]
    public void A_write_that_is_acknowledged_and_not_done_is_noticed()
    {
        using var simulation = new Simulation(Honest(7), connection => new ForgetfulConnection(connection, every: 5));
        SimulationException found = Assert.Throws<SimulationException>(simulation.Run);
        Assert.Contains("its slot does not hold the newest version", found.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_lost_wake_up_is_noticed()
    {
        using var simulation = new Simulation(Honest(7) with { LostWakesPerMillion = 20_000, Threads = 2 });
        SimulationException found = Assert.Throws<SimulationException>(simulation.Run);
        Assert.Contains("hang: thread", found.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_corrupted_page_is_noticed()
    {
        using var simulation = new Simulation(Honest(7) with { CorruptPerMillion = 10_000 });
        SimulationException found = Assert.Throws<SimulationException>(simulation.Run);
        Assert.Matches("reads|nobody wrote", found.Message);
    }

    [Fact]
    public void A_pager_that_gives_out_slots_of_a_child_that_has_not_come_yet_is_noticed() =>
        AssertNoticed(seed => Honest(seed) with { DeathsPerMillion = 20_000, ForgetsFamily = true });

    [Fact]
    public void A_pager_that_does_not_carry_out_what_another_has_read_is_noticed() =>
        AssertNoticed(seed => Honest(seed) with { DeathsPerMillion = 20_000, ChangesPerThousand = 20, ForgetsChanges = true });

    private static void AssertNoticed(Func<int, SimulationSettings> settingsOf)
    {
        var found = new List<string>();
        foreach (SimulationSettings settings in Enumerable.Range(1, 200).Select(settingsOf).Where(settings => settings.Captures))
        {
            using var simulation = new Simulation(settings);
            try
            {
                simulation.Run();
            }
            catch (SimulationException e)
            {
                found.Add(e.Message);
                break;
            }
        }

        Assert.Matches("reads|nobody wrote|newest version|a mapping that is not", Assert.Single(found));
    }

    /// <summary>Says Done to every n-th WRITE and throws its data away.</summary>
    private sealed unsafe class ForgetfulConnection(IDataConnection inner, int every) : IDataConnection
    {
        private readonly Queue<ulong> _forgotten = new();
        private int _writes;

        public string Transport => inner.Transport;

        public int PagesPerRequestMax => inner.PagesPerRequestMax;

        public int FreeRequests => inner.FreeRequests;

        public bool IsBroken => inner.IsBroken;

        public int WaitDescriptor => inner.WaitDescriptor;

        public uint WaitEvents => inner.WaitEvents;

        public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
            inner.TryPostRead(cookie, slab, slot, pages, buffer);

        public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer)
        {
            if (++_writes % every == 0)
            {
                _forgotten.Enqueue(cookie);
                return true;
            }

            return inner.TryPostWrite(cookie, slab, slot, pages, buffer);
        }

        public void Submit() => inner.Submit();

        public int Poll(Span<DataCompletion> completions)
        {
            int count = 0;
            while (count < completions.Length && _forgotten.TryDequeue(out ulong cookie))
            {
                completions[count++] = new DataCompletion(cookie, DataStatus.Done);
            }

            return count + inner.Poll(completions[count..]);
        }

        public void Dispose() => inner.Dispose();
    }
}
