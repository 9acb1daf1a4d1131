using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;

namespace Hecatonchire.Lending;

/// <content>What the next pager of a program needs to know of its stripes: written down where the program holds it, and taken over from there.</content>
internal sealed partial class StripePool
{
    private readonly List<PageTableFile> _tables = [];

    /// <summary>What the next pager of a program needs to know of the slots is written down there too. On the pager thread, or before it runs.</summary>
    public unsafe void WriteTo(PageTableFile tables)
    {
        _tables.Add(tables);
        (tables.Demander, tables.IsSealed) = (Demander, Set.IsSealed);
        foreach (LenderLink link in _links.Now())
        {
            WriteSponsor(link);
        }

        for (int number = 0; number < Set.Stripes.Count; number++)
        {
            Write((ulong)number);
        }

        Slots.AddDirectory(tables.Slabs);
    }

    /// <summary>It is written there no more. On the pager thread, or before it runs.</summary>
    public unsafe void StopWritingTo(PageTableFile tables)
    {
        _ = _tables.Remove(tables);
        Slots.RemoveDirectory(tables.Slabs);
    }

    /// <summary>
    /// Before it starts: the stripes in which another pager has left pages are this one's. Throws <see cref="InvalidDataException"/> where the sponsors do not
    /// hold them any more, <see cref="SponsorException"/>.
    /// </summary>
    public unsafe void TakeOver(PageTableFile left)
    {
        if (left.IsSealed != Set.IsSealed)
        {
            throw new InvalidDataException("what its pages were sealed with is gone");
        }

        LenderLink[] links = _links.Now();
        var lent = links.ToDictionary(link => link, link => link.ListSlabs().ToDictionary(slab => slab.Slab, slab => slab.Bytes));
        for (int i = 0; i < SlotMap.SlabsMax; i++)
        {
            (ulong stripe, ulong slots) = (left.Slabs[2 * i], left.Slabs[(2 * i) + 1]);
            if (slots == 0)
            {
                continue;
            }

            var replicas = new List<(int, ulong)>();
            IReadOnlyList<(int Sponsor, ulong Slab)> recorded = left.ReplicasOf(stripe);
            foreach ((int sponsor, ulong slab) in recorded)
            {
                LenderLink? link = Array.Find(links, link => link.Instance == left.Sponsors[sponsor]);
                if (link is not null && lent[link].Remove(slab, out long bytes) && (ulong)bytes >> PageSize.Shift == slots)
                {
                    link.Adopt(slab, bytes);
                    replicas.Add((link.Number, slab));
                }
            }

            if (replicas.Count == 0 && recorded.Count > 0)
            {
                throw new InvalidDataException("the sponsor was restarted, or is another, or has freed its memory by now");
            }

            Set.Stripes.Adopt(stripe, (uint)slots, [.. replicas]);
            Slots.Place(i, stripe, (uint)slots);
            if (recorded.Count == 0)
            {
                // The last pager's program has lost what was there, and goes on without it.
                Set.Stripes[stripe]!.IsLost = true;
                Slots.Close(stripe);
            }
        }

        // Got, and not used yet.
        foreach ((LenderLink link, Dictionary<ulong, long> slabs) in lent)
        {
            foreach (ulong slab in slabs.Keys)
            {
                link.Free(slab, SlabPlacement.AnswerTime);
            }
        }
    }

    private unsafe void WriteSponsor(LenderLink link)
    {
        foreach (PageTableFile tables in _tables)
        {
            tables.Sponsors[link.Number] = link.Instance;
        }
    }

    private void Write(ulong number)
    {
        foreach (PageTableFile tables in _tables)
        {
            tables.WriteReplicas(number, Set.Stripes[number] is { } stripe
                ? stripe.Replicas.Where(replica => replica.State == ReplicaState.Live).Select(replica => (replica.Sponsor, replica.Slab))
                : []);
        }
    }
}
