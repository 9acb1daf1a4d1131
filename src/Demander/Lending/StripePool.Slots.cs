using Hecatonchire.Control;
using Hecatonchire.Interop;
using Hecatonchire.Placement;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;

namespace Hecatonchire.Lending;

/// <content>How many slots there are: stripes are got as slots are needed, and given back when nothing is in them.</content>
internal sealed partial class StripePool
{
    /// <summary>64 MiB: what a program can fill while a slab is got.</summary>
    private const long FreeSlotsMin = (64L << 20) / PageSize.Bytes;

    /// <summary>With less than what can be on its way out at once, nothing may be taken out any more.</summary>
    private const long FullBelowSlots = Handover.HandoverAbi.StagingPages;

    /// <summary>How long sponsors that were full are not asked.</summary>
    private const long FullAskAgainMs = 1000;

    private long _fullUntil;
    private long _wantedPages;

    /// <summary>Has slots for <paramref name="pages"/> pages in all; 0 or -ENOSPC.</summary>
    public int EnsureSlots(long pages)
    {
        lock (_lock)
        {
            int status = GainSlots(pages - Slots.TotalSlots, maySpill: true);
            _wantedPages = status == 0 ? pages : _wantedPages;
            return status;
        }
    }

    /// <summary>
    /// Has <see cref="FreeSlotsMin"/> slots free, got a quarter of all at a time when there are many, and gives back what is far more. False while the
    /// sponsors have no more and they run out; they are asked again after a second.
    /// </summary>
    public bool EnsureFreeSlots()
    {
        lock (_lock)
        {
            long wanted = Math.Max(FreeSlotsMin, Slots.TotalSlots / 4), free = Slots.FreeSlots;
            if (free > (2 * wanted) + SlabPlacement.SlotsPerStripeMax)
            {
                ReturnIdleStripes(() => Slots.TotalSlots - Slots.FreeSlots + (2 * wanted));
            }

            long now = Environment.TickCount64;
            if (free >= FreeSlotsMin || now < _fullUntil)
            {
                return free >= FullBelowSlots;
            }

            // Less than wanted is better than nothing.
            bool isGained = false;
            for (long missing = wanted - free; !isGained && missing > 0; missing = missing > FreeSlotsMin ? missing / 2 : 0)
            {
                isGained = GainSlots(missing, maySpill: false) == 0;
            }

            isGained = isGained || (_spill is not null && GainSlots(FreeSlotsMin, maySpill: true) == 0);

            _fullUntil = isGained ? 0 : now + FullAskAgainMs;
            return isGained || free >= FullBelowSlots;
        }
    }

    /// <summary>Gives stripes back that hold no page, as long as <paramref name="pages"/> slots remain.</summary>
    public void ReturnIdle(long pages)
    {
        lock (_lock)
        {
            _wantedPages = pages;
            ReturnIdleStripes(() => pages);
        }
    }

    private int GainSlots(long missing, bool maySpill)
    {
        GiveBackUnknownAlone();
        var gained = new List<(uint Slots, (int, ulong)[] Replicas)>();
        while (missing > 0)
        {
            if ((_placement.Borrow(missing << PageSize.Shift, _borrowing.Replicas, static _ => true) ?? (maySpill ? _placement.Spill(missing << PageSize.Shift, _spill) : null)) is not { } stripe)
            {
                gained.ForEach(stripe => _placement.GiveBack(stripe.Replicas));
                return -Errno.ENOSPC;
            }

            gained.Add(stripe);
            missing -= stripe.Slots;
        }

        bool isAdded = true;
        foreach ((uint slots, (int, ulong)[] replicas) in gained)
        {
            int errno = isAdded ? Set.Stripes.TryPrepare(slots) : 0;
            if (errno != 0)
            {
                Log.NotSealed(_logger, new ByteSize(slots * (long)PageSize.Bytes), Errno.Describe(errno));
                isAdded = false;
            }

            if (!isAdded)
            {
                _placement.GiveBack(replicas);
                continue;
            }

            _runOn(() =>
            {
                ulong number = Set.Stripes.Add(slots, replicas);
                Write(number);
                isAdded = Slots.Add(number, slots);
                if (!isAdded)
                {
                    Set.Stripes.Remove(number);
                }
            });
            if (!isAdded)
            {
                _placement.GiveBack(replicas);
            }
        }

        return isAdded ? 0 : -Errno.ENOSPC;
    }

    /// <summary>With a single sponsor nobody else does it.</summary>
    private void GiveBackUnknownAlone()
    {
        try
        {
            if (_tend is null)
            {
                GiveBackUnknown();
            }
        }
        catch (SponsorException e)
        {
            Log.CareFailed(_logger, e.Message);
        }
    }

    private void ReturnIdleStripes(Func<long> needed)
    {
        GiveBackUnknownAlone();
        for (bool isRemoved = true; isRemoved;)
        {
            (int Sponsor, ulong Slab)[] replicas = [];
            bool isInUse = false;
            _runOn(() =>
            {
                isRemoved = Slots.TryRemoveIdle(needed(), out ulong number, out _);
                if (isRemoved)
                {
                    replicas = [.. Set.Stripes[number]!.Replicas.Where(replica => replica.State != ReplicaState.None).Select(replica => (replica.Sponsor, replica.Slab))];
                    isInUse = Set.IsInUse(number);
                    Set.Stripes.Remove(number);
                    Write(number);
                }
            });
            if (isInUse)
            {
                // A read that nobody waits for any more, or a copy: a request for a slab that is gone would end the connection.
                GiveBackOnceQuiet(replicas);
            }
            else
            {
                _placement.GiveBack(replicas);
            }
        }
    }
}
