using Hecatonchire.Transport;
using Hecatonchire.Transport.Striped;
using Xunit;

namespace Hecatonchire.Tests.Transport.Striped;

/// <summary>What only a program that goes on writing shows of a copy; that copies are right is the simulation's.</summary>
public unsafe class StripeCopierTests
{
    private const uint Slots = 128;
    private const int Writes = 8;

    /// <summary>Whenever anything has ended, another write is under way to the pages that are being copied: there is never a moment in which none of a window is.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_stripe_that_is_written_to_all_the_time_is_filled(int seed)
    {
        Random random = new(seed);
        bool isFilled = false;
        long now = 0;
        FakeMemory source = new(), target = new();
        using SponsorSet set = new(ReadPolicy.ServiceTime, silenceMsMax: 300, clock: () => now);
        FakeSponsorConnection Connect(FakeMemory memory) => new(memory, random) { PagesPerRequestMax = 64 };
        int from = set.Add(Connect(source), Connect(source)), to = set.Add(Connect(target), Connect(target));
        set.Copier = new StripeCopier(set, UsedSlots) { OnFilled = (_, _) => isFilled = true };
        ulong slab = source.Add(Slots), copy = target.Add(Slots), stripe = set.Stripes.Add(Slots, [(from, slab)]);
        Assert.True(set.TryFill(stripe, Slots, to, copy));

        using PageBuffer buffers = PageBuffer.NewScribbled(Writes);
        ulong[] written = new ulong[Slots];
        var slotOf = new uint?[Writes];
        Span<DataCompletion> ended = stackalloc DataCompletion[8];
        for (int round = 0; !isFilled; round++)
        {
            Assert.True(round < 500, $"seed {seed}: it is not filled");
            now++;
            for (int i = 0; i < slotOf.Length; i++)
            {
                uint slot = (uint)random.Next((int)Slots);
                if (slotOf[i] is null && Array.TrueForAll(slotOf, other => other != slot))
                {
                    *(ulong*)buffers[i] = ++written[slot];
                    Assert.True(set.Writer.TryPostWrite((ulong)i, stripe, slot, 1, buffers[i]));
                    slotOf[i] = slot;
                }
            }

            set.Writer.Submit();
            set.Reader.Submit();
            Assert.Equal(0, set.Reader.Poll(ended));
            int count = set.Writer.Poll(ended);
            foreach (DataCompletion completion in ended[..count])
            {
                slotOf[completion.Cookie] = null;
            }
        }

        for (int round = 0; !Array.TrueForAll(slotOf, slot => slot is null); round++)
        {
            Assert.True(round < 20_000, $"seed {seed}: a write does not end");
            int count = set.Writer.Poll(ended);
            foreach (DataCompletion completion in ended[..count])
            {
                slotOf[completion.Cookie] = null;
            }
        }

        Assert.Equal(written, Enumerable.Range(0, (int)Slots).Select(slot => source[slab, (uint)slot]));
        Assert.Equal(written, Enumerable.Range(0, (int)Slots).Select(slot => target[copy, (uint)slot]));
    }

    private static int UsedSlots(ulong stripe, uint from, int most, out uint first)
    {
        first = from;
        return (int)Math.Min(most, Slots - Math.Min(from, Slots));
    }
}
