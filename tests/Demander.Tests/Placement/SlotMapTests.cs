using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Xunit;

namespace Hecatonchire.Tests.Placement;

public class SlotMapTests
{
    [Fact]
    public unsafe void Another_map_can_be_made_of_what_is_written_down()
    {
        ulong* directory = stackalloc ulong[2 * SlotMap.SlabsMax];
        new Span<ulong>(directory, 2 * SlotMap.SlabsMax).Clear();
        using var map = new SlotMap();
        Assert.True(map.Add(11, 64));
        Assert.True(map.Add(12, 128));
        map.AddDirectory(directory);
        Assert.True(map.Add(13, 64));
        long[] used = [.. Enumerable.Range(0, 100).Select(_ => map.Allocate(-1))];
        Assert.Equal([11UL, 64UL, 12UL, 128UL, 13UL, 64UL, 0UL], new ReadOnlySpan<ulong>(directory, 7).ToArray());

        using var next = new SlotMap();
        for (int i = 0; i < 3; i++)
        {
            next.Place(i, directory[2 * i], (uint)directory[(2 * i) + 1]);
        }

        Assert.All(used, slot => Assert.True(next.TryClaim(slot)));
        Assert.Equal(map.FreeSlots, next.FreeSlots);
        Assert.All(used, slot => Assert.Equal((map.Locate(slot, out uint at), at), (next.Locate(slot, out uint same), same)));
        Assert.False(next.IsShared(used[0]));

        // A second page of the same contents.
        Assert.True(next.TryClaim(used[0]));
        Assert.True(next.IsShared(used[0]));
        Assert.False(next.TryClaim(-1));
        Assert.False(next.TryClaim(64));
        Assert.False(next.TryClaim(3L << SlotMap.SlotBits));
        Assert.False(next.TryClaim(PageEntry.SlotMax));

        foreach (long slot in used)
        {
            map.Release(slot);
        }

        Assert.True(map.TryRemoveIdle(0, out ulong removed, out _));
        Assert.Equal(11UL, removed);
        Assert.Equal(0UL, directory[1]);
    }

    [Fact]
    public void It_does_what_a_set_of_slots_does()
    {
        var random = new Random(3);
        using var map = new SlotMap();
        var slabs = new Dictionary<ulong, uint>();
        var used = new HashSet<long>();
        ulong nextSlab = 1;
        for (int i = 0; i < 20_000; i++)
        {
            int what = random.Next(100);
            if (what < 2 && slabs.Count < 8)
            {
                uint slots = (uint)random.Next(1, 5) * 64;
                Assert.True(map.Add(nextSlab, slots));
                slabs.Add(nextSlab++, slots);
            }
            else if (what < 5)
            {
                long needed = random.Next(600);
                if (map.TryRemoveIdle(needed, out ulong slab, out uint slots))
                {
                    Assert.True(slabs.Remove(slab, out uint had));
                    Assert.Equal(had, slots);
                    Assert.True(slabs.Values.Sum(s => s) >= needed);
                    Assert.DoesNotContain(used, slot => map.Locate(slot, out _) == slab);
                }
            }
            else if (what < 60)
            {
                long hint = random.Next(3) == 0 ? -1 : used.Count > 0 ? used.First() + 1 : 0;
                long slot = map.Allocate(hint);
                Assert.Equal(used.Count == slabs.Values.Sum(s => s), slot < 0);
                if (slot >= 0)
                {
                    Assert.True(used.Add(slot), $"slot {slot} was given twice");
                    Assert.True(slabs.TryGetValue(map.Locate(slot, out uint inSlab), out uint slots) && inSlab < slots);
                }
            }
            else if (used.Count > 0)
            {
                long slot = used.ElementAt(random.Next(used.Count));
                _ = used.Remove(slot);
                map.Release(slot);
            }

            Assert.Equal(slabs.Values.Sum(s => s), map.TotalSlots);
            Assert.Equal(map.TotalSlots - used.Count, map.FreeSlots);
        }
    }

    [Fact]
    public void A_hint_that_is_free_is_taken_and_one_that_is_not_is_passed_over()
    {
        using var map = new SlotMap();
        Assert.True(map.Add(1, 128));
        Assert.True(map.Add(2, 64));
        long second = 1L << SlotMap.SlotBits;
        Assert.Equal(second + 17, map.Allocate(second + 17));
        Assert.NotEqual(second + 17, map.Allocate(second + 17));
        Assert.InRange(map.Allocate(second + 64), 0, second + 63);
        Assert.InRange(map.Allocate(long.MaxValue), 0, second + 63);
    }

    [Fact]
    public void Pages_that_come_one_after_the_other_get_slots_one_after_the_other()
    {
        using var map = new SlotMap();
        Assert.True(map.Add(1, 1024));
        for (long i = 0; i < 1024; i++)
        {
            Assert.Equal(i, map.Allocate(-1));
        }

        Assert.Equal(-1, map.Allocate(-1));
        map.Release(500);
        Assert.Equal(500, map.Allocate(3));
    }

    [Fact]
    public void A_slab_in_use_or_needed_is_not_removed()
    {
        using var map = new SlotMap();
        Assert.True(map.Add(1, 64));
        long slot = map.Allocate(-1);
        Assert.False(map.TryRemoveIdle(0, out _, out _));
        map.Release(slot);
        Assert.False(map.TryRemoveIdle(1, out _, out _));
        Assert.True(map.TryRemoveIdle(0, out ulong slab, out uint slots));
        Assert.Equal((1UL, 64U), (slab, slots));
        Assert.Equal(-1, map.Allocate(0));
    }

    [Fact]
    public void A_slab_whose_contents_are_lost_gives_out_no_slots_and_goes_with_the_last_of_them()
    {
        using var map = new SlotMap();
        Assert.True(map.Add(11, 64));
        Assert.True(map.Add(12, 64));
        long lost = map.Allocate(-1), shared = map.Allocate(-1);
        map.Share(shared);
        map.Close(11);
        map.Close(11);
        Assert.Equal((64L, 64L, 2L), (map.TotalSlots, map.FreeSlots, map.UsedOf(11)));
        Assert.True(map.IsClosed(lost));

        long next = map.Allocate(lost + 5);
        Assert.Equal(12UL, map.Locate(next, out _));
        Assert.False(map.IsClosed(next));

        map.Release(lost);
        map.Release(shared);
        Assert.False(map.TryRemoveIdle(64, out _, out _));
        map.Release(shared);
        Assert.True(map.TryRemoveIdle(64, out ulong slab, out uint slots));
        Assert.Equal((11UL, 64U, 64L, 63L), (slab, slots, map.TotalSlots, map.FreeSlots));
    }

    [Fact]
    public void Runs_of_used_slots_are_found_in_their_order()
    {
        using var map = new SlotMap();
        Assert.True(map.Add(11, 256));
        long[] all = [.. Enumerable.Range(0, 256).Select(_ => map.Allocate(-1))];
        foreach (long slot in all.Where((_, i) => i is not (3 or 4 or (>= 190 and < 200))))
        {
            map.Release(slot);
        }

        Assert.Equal((2, 3U), (map.FindUsed(11, 0, 64, out uint first), first));
        Assert.Equal((1, 3U), (map.FindUsed(11, 0, 1, out first), first));
        Assert.Equal((10, 190U), (map.FindUsed(11, 5, 64, out first), first));
        Assert.Equal((3, 197U), (map.FindUsed(11, 197, 64, out first), first));
        Assert.Equal(0, map.FindUsed(11, 200, 64, out _));
        Assert.Equal(0, map.FindUsed(99, 0, 64, out _));
    }
}
