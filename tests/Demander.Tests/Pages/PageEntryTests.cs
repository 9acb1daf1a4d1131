using Hecatonchire.Pages;
using Xunit;

namespace Hecatonchire.Tests.Pages;

public unsafe class PageEntryTests
{
    [Fact]
    public void It_has_eight_bytes_and_all_zero_is_untouched()
    {
        Assert.Equal(8, sizeof(PageEntry));
        PageEntry entry = default;
        Assert.Equal(PageState.Untouched, entry.State);
        Assert.Equal(PageEntry.NoSlot, entry.Slot);
        Assert.False(entry.IsWaiting || entry.IsQueued || entry.IsGhost || entry.IsMarked);
    }

    [Fact]
    public void Setting_one_field_changes_no_other()
    {
        var random = new Random(20261121);
        PageEntry entry = default;
        (long slot, int index, bool waiting, bool queued, bool ghost, bool marked) = (PageEntry.NoSlot, 0, false, false, false, false);
        PageState state = PageState.Untouched;
        for (int i = 0; i < 100_000; i++)
        {
            switch (random.Next(8))
            {
                case 0:
                    entry.Slot = slot = random.Next(4) switch { 0 => PageEntry.NoSlot, 1 => PageEntry.SlotMax, _ => random.NextInt64(PageEntry.SlotMax) };
                    break;
                case 1:
                    entry.Index = index = random.Next(2) == 0 ? ushort.MaxValue : random.Next(ushort.MaxValue);
                    break;
                case 2:
                    entry.IsWaiting = waiting = random.Next(2) == 0;
                    break;
                case 3:
                    entry.IsQueued = queued = random.Next(2) == 0;
                    break;
                case 4:
                    entry.IsGhost = ghost = random.Next(2) == 0;
                    break;
                case 5:
                    entry.IsMarked = marked = random.Next(2) == 0;
                    break;
                default:
                    PageEvent happened = (PageEvent)random.Next(PageTransitions.Events);
                    if (PageTransitions.Next(state, happened) != PageTransitions.Impossible)
                    {
                        entry.Apply(happened);
                        state = PageTransitions.Next(state, happened);
                    }

                    break;
            }

            Assert.Equal((slot, index, waiting, queued, ghost, marked, state),
                (entry.Slot, entry.Index, entry.IsWaiting, entry.IsQueued, entry.IsGhost, entry.IsMarked, entry.State));
        }
    }

    [Fact]
    public void A_page_id_keeps_its_parts_and_orders_by_segment_then_page()
    {
        Assert.True(default(PageId).IsNone);
        var random = new Random(1);
        for (int i = 0; i < 10_000; i++)
        {
            var a = new PageId(random.Next(SegmentTable.Capacity), random.NextInt64(1L << 40));
            var b = new PageId(random.Next(SegmentTable.Capacity), random.NextInt64(1L << 40));
            Assert.False(a.IsNone);
            Assert.Equal(Math.Sign((a.Segment, a.Page).CompareTo((b.Segment, b.Page))), a.Order.CompareTo(b.Order));
            Assert.Equal(a, new PageId(a.Segment, a.Page));
        }
    }
}
