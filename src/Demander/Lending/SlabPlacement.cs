using System.Numerics;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Placement;
using Hecatonchire.Units;

namespace Hecatonchire.Lending;

/// <summary>Where the slabs of a stripe are borrowed: which sponsors are asked, and how much of each. Used by one thread at a time.</summary>
internal sealed class SlabPlacement(Borrowing borrowing, LenderLinks links)
{
    public const long SlotsPerStripeMax = 1L << SlotMap.SlotBits;

    /// <summary>How long a sponsor that was full is not asked.</summary>
    private const long FullAskAgainMs = 1000;

    /// <summary>How long a sponsor may take to lend: while it does, others wait that lend at once.</summary>
    public static readonly TimeSpan AnswerTime = TimeSpan.FromSeconds(2);

    private readonly Random _random = new();

    /// <summary>
    /// Borrows a slab for a stripe from each of so many sponsors that suit: of two that are drawn, from the one that has more to give; from none that wants memory back. From
    /// fewer where there are not as many; null where that is for want of memory, or there is none. As far as can be in other places than those that are <paramref name="near"/>.
    /// </summary>
    public (uint Slots, (int Sponsor, ulong Slab)[] Replicas)? Borrow(long bytes, int replicas, Predicate<LenderLink> suits, IReadOnlyCollection<int>? near = null)
    {
        var got = new List<(int, ulong)>();
        bool isFull = false;
        long slabBytes = 0;
        long now = Environment.TickCount64;
        var left = links.Now().Where(link => link.IsHere && link.SilentUntil <= now && link.ReclaimBytes == 0 && link is SponsorLink && suits(link)).ToList();
        isFull = left.RemoveAll(link => link.FullUntil > now) > 0;
        while (got.Count < replicas && Draw(Farthest(left, [.. near ?? [], .. got.Select(replica => replica.Item1)])) is { } link)
        {
            _ = left.Remove(link);
            long wanted = slabBytes > 0 ? slabBytes : SlabBytesFor(bytes, link);
            if (wanted < link.SlabBytesMin || wanted > link.SlabBytesMax)
            {
                continue;
            }

            try
            {
                SlabEntry slab = link.Allocate(wanted, AnswerTime);
                slabBytes = slab.Bytes;
                link.FreeBytes -= slab.Bytes;
                got.Add((link.Number, slab.Slab));
            }
            catch (SponsorException e)
            {
                if (e.Code == SponsorErrorCode.Full)
                {
                    isFull = true;
                    link.FullUntil = now + FullAskAgainMs;
                }
                else
                {
                    link.SilentUntil = now + FullAskAgainMs;
                }
            }
        }

        if (got.Count > 0 && (got.Count == replicas || !isFull))
        {
            return ((uint)(slabBytes >> PageSize.Shift), [.. got]);
        }

        GiveBack([.. got]);
        return null;
    }

    /// <summary>Borrows a slab for a stripe from the spill file; null where there is none or it has no room.</summary>
    public (uint Slots, (int Sponsor, ulong Slab)[] Replicas)? Spill(long bytes, SpillLink? spill)
    {
        if (spill is not { IsHere: true })
        {
            return null;
        }

        try
        {
            SlabEntry slab = spill.Allocate(SlabBytesFor(bytes, spill), AnswerTime);
            return ((uint)(slab.Bytes >> PageSize.Shift), [(spill.Number, slab.Slab)]);
        }
        catch (SponsorException)
        {
            return null;
        }
    }

    /// <summary>Gives slabs back that no request is on. Waits for each of the sponsors; any thread may.</summary>
    public void GiveBack((int Sponsor, ulong Slab)[] replicas)
    {
        foreach ((int sponsor, ulong slab) in replicas)
        {
            if (links.Of(sponsor) is { } link)
            {
                link.Free(slab, AnswerTime);
            }
        }
    }

    /// <summary>Of those that could take a replica, who are farthest from those that have one.</summary>
    private List<LenderLink> Farthest(List<LenderLink> left, IReadOnlyCollection<int> others)
    {
        LenderLink[] near = others.Count == 0 ? [] : [.. links.Now().Where(link => others.Contains(link.Number))];
        foreach (string label in near.Length == 0 ? [] : borrowing.SpreadLevels)
        {
            List<LenderLink> apart = left.FindAll(link => !Array.Exists(near, other => other.PlaceIn(label) == link.PlaceIn(label)));
            if (apart.Count > 0)
            {
                return apart;
            }
        }

        return left;
    }

    /// <summary>The better of two drawn at random: most of what there is to gain from choosing among all, without all choosing the same.</summary>
    private LenderLink? Draw(List<LenderLink> links)
    {
        if (links.Count < 2)
        {
            return links.FirstOrDefault();
        }

        int first = _random.Next(links.Count), second = _random.Next(links.Count - 1);
        LenderLink one = links[first], other = links[second < first ? second : second + 1];
        return Worth(one) >= Worth(other) ? one : other;
    }

    private static double Worth(LenderLink link) => link.FreeBytes / (1 + (link.Load / 100_000));

    /// <summary>The smallest slab that holds the rest, within the limits of the lender and of --stripe.</summary>
    private long SlabBytesFor(long bytes, LenderLink link)
    {
        long wanted = (long)BitOperations.RoundUpToPowerOf2((ulong)bytes);
        return Math.Clamp(Math.Min(wanted, borrowing.StripeBytesMax), link.SlabBytesMin, Math.Min(link.SlabBytesMax, PageSize.Bytes * SlotsPerStripeMax));
    }
}
