using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Transport;
using Hecatonchire.Transport.InMemory;
using Xunit;

namespace Hecatonchire.Tests.Simulations;

/// <summary>Threads that wait for pages which come in the same poll are woken together, however many they are.</summary>
public unsafe class WakeTests
{
    private const int Pages = 256;
    private const int Threads = 128;
    private const int AdviseWillNeed = 3;
    private const int AdvisePageOut = 5;

    [Fact]
    public void More_waiting_threads_than_are_woken_together_all_go_on()
    {
        using var sponsor = new InMemorySponsor();
        using var reader = new GatedConnection(new InMemoryDataConnection(sponsor));
        using var writer = new InMemoryDataConnection(sponsor);
        using var memory = new SimulatedProgramMemory(Pages, 512, Threads, takeCopies: false, seed: 1);
        Assert.True(LocalBudget.TryParse("4MiB", out LocalBudget local));
        using var core = new PagerCore(memory, reader, writer, new TrendPrefetch(), local, 512);
        Assert.True(core.Slots.Add(sponsor.AddSlab(Pages), Pages));
        memory.Register(0, Pages);
        Execute(core, memory, new PagerRequest(PagerRequestKind.Allocate) { Address = SimulatedProgramMemory.Base, Pages = Pages });
        for (int page = 0; page < Pages; page++)
        {
            while (memory.Access(0, page, isWrite: true) == Touch.Stopped)
            {
                Advance(core, memory);
            }

            *(long*)memory.Data(page) = page + 1;
        }

        Execute(core, memory, Advice(AdvisePageOut));

        // All on their way, in runs, and every second one waited for: each of those, and each between them, is placed alone.
        reader.IsOpen = false;
        Execute(core, memory, Advice(AdviseWillNeed));
        for (int thread = 0; thread < Threads; thread++)
        {
            Assert.Equal(Touch.Stopped, memory.Access(thread, 2 * thread, isWrite: false));
        }

        for (int round = 0; round < 20; round++)
        {
            Advance(core, memory);
        }

        Assert.All(Enumerable.Range(0, Threads), thread => Assert.True(memory.IsWaiting(thread)));
        reader.IsOpen = true;
        for (int round = 0; round < 20; round++)
        {
            Advance(core, memory);
        }

        for (int thread = 0; thread < Threads; thread++)
        {
            Assert.False(memory.IsWaiting(thread), $"thread {thread} waits for its page, which came");
            Assert.Equal(Touch.Done, memory.Access(thread, 2 * thread, isWrite: false));
            Assert.Equal((2 * thread) + 1, *(long*)memory.Data(2 * thread));
        }
    }

    private static PagerRequest Advice(int advice) =>
        new(PagerRequestKind.Advise) { Address = SimulatedProgramMemory.Base, Pages = Pages, Advice = advice };

    private static void Advance(PagerCore core, SimulatedProgramMemory memory)
    {
        _ = core.RunOnce();
        _ = memory.StepEvictor();
    }

    private static void Execute(PagerCore core, SimulatedProgramMemory memory, PagerRequest request)
    {
        core.Post(request);
        while (!request.Done.IsSet)
        {
            Advance(core, memory);
        }

        Assert.Equal(0, request.Status);
        request.Dispose();
    }

    /// <summary>Delivers nothing until it is open.</summary>
    private sealed class GatedConnection(IDataConnection inner) : IDataConnection
    {
        public bool IsOpen { get; set; } = true;

        public string Transport => inner.Transport;

        public int PagesPerRequestMax => inner.PagesPerRequestMax;

        public int FreeRequests => inner.FreeRequests;

        public bool IsBroken => inner.IsBroken;

        public int WaitDescriptor => inner.WaitDescriptor;

        public uint WaitEvents => inner.WaitEvents;

        public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
            inner.TryPostRead(cookie, slab, slot, pages, buffer);

        public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) =>
            inner.TryPostWrite(cookie, slab, slot, pages, buffer);

        public void Submit() => inner.Submit();

        public int Poll(Span<DataCompletion> completions) => IsOpen ? inner.Poll(completions) : 0;

        public void Dispose() => inner.Dispose();
    }
}
