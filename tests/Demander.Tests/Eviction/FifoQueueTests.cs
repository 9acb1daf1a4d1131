using Hecatonchire.Eviction;
using Hecatonchire.Pages;
using Xunit;

namespace Hecatonchire.Tests.Eviction;

public unsafe class FifoQueueTests
{
    private const int Pages = 400;

    [Fact]
    public void The_oldest_resident_page_leaves_first_whatever_happens_to_the_others()
    {
        var random = new Random(11);
        using var segments = new SegmentTable();
        using var queue = new FifoQueue(segments);
        queue.EnsureCapacity(Pages, Pages);
        Segment[] known = [Add(segments, 0), Add(segments, 1)];
        var order = new List<PageId>();
        for (int i = 0; i < 50_000; i++)
        {
            Segment segment = known[random.Next(2)];
            var id = new PageId(segment.Number, random.Next(Pages / 2));
            ref PageEntry entry = ref segment.Entries[id.Page];
            switch (random.Next(8))
            {
                case 0 or 1 or 2 when entry.State == PageState.Untouched:
                    entry.Apply(PageEvent.ZeroFill);

                    // A page that left by another way and came back keeps its old place, unless a sweep took it out.
                    if (!entry.IsQueued)
                    {
                        order.Add(id);
                    }

                    queue.Push(id, ref entry);
                    break;
                case 3 when entry.State == PageState.Resident:
                    entry.Apply(PageEvent.DropStart);
                    entry.Apply(PageEvent.DropDone);
                    break;
                case 4 when random.Next(20) == 0:
                    queue.Sweep();
                    _ = order.RemoveAll(page => StateOf(segments, page) != PageState.Resident);
                    break;
                case 5 when random.Next(200) == 0:
                    queue.Forget(segment.Number);
                    _ = order.RemoveAll(page => page.Segment == segment.Number || StateOf(segments, page) != PageState.Resident);
                    int at = Array.IndexOf(known, segment);
                    segments.Remove(segment);
                    segment.Dispose();
                    known[at] = Add(segments, at);
                    break;
                case 6:
                    int expected = order.FindIndex(page => StateOf(segments, page) == PageState.Resident);
                    Assert.Equal(expected >= 0, queue.TryPop(out PageId popped));
                    if (expected >= 0)
                    {
                        Assert.Equal(order[expected], popped);
                        ref PageEntry victim = ref segments[popped.Segment].Entries[popped.Page];
                        Assert.False(victim.IsQueued);
                        victim.Apply(PageEvent.DropStart);
                        victim.Apply(PageEvent.DropDone);
                    }

                    order.RemoveRange(0, expected >= 0 ? expected + 1 : order.Count);
                    break;
                case 7 when random.Next(500) == 0:
                    queue.EnsureCapacity(Pages + i, Pages + i);
                    break;
            }

            Assert.Equal(order.Count, queue.Count);
        }
    }

    private static Segment Add(SegmentTable segments, int place)
    {
        Segment segment = Segment.Create(segments.FreeNumber(), 0x1000_0000UL * (ulong)(place + 1), Pages / 2, inMemoryFile: false);
        segments.Add(segment);
        return segment;
    }

    private static PageState StateOf(SegmentTable segments, PageId id) => segments[id.Segment].Entries[id.Page].State;
}
