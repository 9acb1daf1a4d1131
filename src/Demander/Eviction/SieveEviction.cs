using Hecatonchire.Pages;

namespace Hecatonchire.Eviction;

/// <summary>
/// SIEVE (Zhang et al., "SIEVE is simpler than LRU", NSDI'24): a hand goes from the oldest page to the newest and evicts what was not
/// visited; visited pages stay where they are and lose the mark, and new ones come in before the hand. Two queues
/// do it: the pages before the hand and those behind it, swapped when the hand has reached the newest. The original marks a page
/// when it is touched; here no touch of a resident page is seen, so a page comes marked when it was fetched on demand while it was a
/// ghost, or recalled from staging. 8 bytes per page that may be resident and 8 bytes per ghost.
/// </summary>
internal sealed unsafe class SieveEviction(SegmentTable segments) : EvictionPolicy(segments, queues: 2, hasGhosts: true)
{
    private const int BeforeHand = 0;
    private const int BehindHand = 1;

    public override bool TryPop(out PageId id)
    {
        while (true)
        {
            PageEntry* entry = Take(BeforeHand, out id);
            if (entry == null)
            {
                if (Count == 0)
                {
                    return false;
                }

                Swap(BeforeHand, BehindHand);
            }
            else if (entry->IsMarked && !IsRefused)
            {
                entry->IsMarked = false;
                PutBack(BehindHand, id, ref *entry);
            }
            else
            {
                AddGhost(id, ref *entry);
                return true;
            }
        }
    }

    protected override int QueueFor(ref PageEntry entry, PageArrival arrival)
    {
        entry.IsMarked = (entry.IsGhost && arrival == PageArrival.Demand) || arrival == PageArrival.Recall;
        entry.IsGhost = false;
        return arrival == PageArrival.Returned ? BehindHand : BeforeHand;
    }
}
