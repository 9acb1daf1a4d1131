using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Lending;

/// <content>
/// Stripes that move while their program runs: off a sponsor that wants memory back, and to one that has come or offers more. A move is a replica that is filled elsewhere,
/// and the old one dropped once the new one has everything; so at no moment there is less than there was.
/// </content>
internal sealed partial class StripePool
{
    /// <summary>Where nobody waits for it, a quarter of what is copied else: the program has the rest.</summary>
    private const long BalanceBytesPerSecond = StripeCopier.BytesPerSecondDefault / 4;

    /// <summary>The stripe that is being filled, and the sponsor that it leaves; -1: none. The pager thread's.</summary>
    private (ulong Stripe, int From) _moving = (0, -1);
    private bool _isStuck;

    /// <summary>While all stripes are whole and nothing is copied: moves the next one, if there is one to move.</summary>
    private void Move()
    {
        LenderLink[] links = _links.Now();
        if (links.Where(link => link.IsHere && link.ReclaimBytes > 0).MaxBy(link => link.ReclaimBytes) is { } asking)
        {
            bool isMoved = MoveFrom(asking, static link => link is SponsorLink, StripeCopier.BytesPerSecondDefault) ?? true;
            if (_isStuck != !isMoved)
            {
                _isStuck = !isMoved;
                if (_isStuck)
                {
                    Log.Stuck(_logger, asking.Name, new ByteSize(asking.ReclaimBytes));
                }
            }
        }
        else if (_spill is { IsHere: true, TakenBytes: > 0 } && links.Any(link => link is SponsorLink { IsHere: true } && link.FreeBytes >= link.SlabBytesMin))
        {
            _ = MoveFrom(_spill, static link => link is SponsorLink, StripeCopier.BytesPerSecondDefault);
        }
        else if (links.FirstOrDefault(link => link.IsHere && link.HasRoomAnew) is { } roomy)
        {
            Balance(links, roomy);
        }
    }

    /// <summary>Moves a stripe to one that has room anew from the sponsor that is fullest with ours, as long as that one stays the fuller of the two.</summary>
    private void Balance(LenderLink[] links, LenderLink roomy)
    {
        var ours = new long[SponsorSet.SponsorsMax];
        long largest = 0;
        _runOn(() =>
        {
            for (int number = 0; number < Set.Stripes.Count; number++)
            {
                if (Set.Stripes[(ulong)number] is { IsLost: false } stripe)
                {
                    long bytes = (long)stripe.Slots << PageSize.Shift;
                    largest = Math.Max(largest, bytes);
                    foreach (Replica replica in stripe.Replicas.Where(replica => replica.State != ReplicaState.None))
                    {
                        ours[replica.Sponsor] += bytes;
                    }
                }
            }
        });
        double Fullness(LenderLink link, long more) => (ours[link.Number] + more) / (double)Math.Max(1, ours[link.Number] + link.FreeBytes);
        LenderLink? fullest = links.Where(link => link.IsHere && link is SponsorLink && link != roomy).MaxBy(link => Fullness(link, 0));
        roomy.HasRoomAnew = fullest is not null && largest > 0 && roomy.FreeBytes >= largest
            && Fullness(roomy, largest) < Fullness(fullest, -largest)
            && MoveFrom(fullest, link => link == roomy, BalanceBytesPerSecond, keepsApart: true) != null;
    }

    /// <summary>
    /// Begins to move a stripe off a sponsor to one that suits, with <paramref name="keepsApart"/> only where no other replica is in the same place. False where none can take it; null
    /// where the sponsor has no stripe that could move there.
    /// </summary>
    private bool? MoveFrom(LenderLink from, Predicate<LenderLink> suits, long bytesPerSecond, bool keepsApart = false)
    {
        string[] places = PlacesIn(_borrowing.Spread);
        int[] suited = [.. _links.Now().Where(link => link != from && suits(link)).Select(link => link.Number)];
        HashSet<int>? taken = null;
        ulong chosen = 0;
        uint slots = 0;
        bool isAny = false;
        _runOn(() =>
        {
            for (int number = 0; number < Set.Stripes.Count && taken is null; number++)
            {
                if (Set.Stripes[(ulong)number] is { IsLost: false } stripe && SponsorSet.Find(stripe, from.Number) is >= 0 and var place
                    && stripe.Replicas[place].State == ReplicaState.Live)
                {
                    isAny = true;
                    if (Array.Exists(suited, sponsor => SponsorSet.Find(stripe, sponsor) < 0 && (!keepsApart || IsApart(stripe, sponsor, from.Number, places))))
                    {
                        taken = [.. stripe.Replicas.Where(replica => replica.State != ReplicaState.None).Select(replica => replica.Sponsor)];
                        (chosen, slots) = ((ulong)number, stripe.Slots);
                    }
                }
            }
        });
        return taken is null ? isAny ? false : null : TryFill(chosen, slots, link => !taken.Contains(link.Number) && suits(link), taken, bytesPerSecond, from.Number);
    }

    /// <summary>A replica has been filled: the one that its stripe leaves is dropped, unless it has come to be needed meanwhile. On the pager thread.</summary>
    private void EndMove(ulong stripe)
    {
        (ulong moving, int from) = _moving;
        _moving = (0, -1);
        if (from >= 0 && moving == stripe && Set.Stripes[stripe] is { } whole && whole.Count(ReplicaState.Live) > _borrowing.Replicas)
        {
            Set.DropReplica(stripe, from);
        }
    }

    private static partial class Log
    {
        [LoggerMessage(Level = LogLevel.Warning, Message = "Sponsor {Sponsor} wants {Bytes} back, and no other has room for it: it stays there")]
        public static partial void Stuck(ILogger logger, string sponsor, ByteSize bytes);
    }
}
