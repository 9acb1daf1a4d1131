using System.Numerics;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Striped;

/// <content>WRITEs: to every replica, and done when each has acknowledged it or is out.</content>
internal sealed unsafe partial class StripedConnection
{
    /// <summary>Of 64 slots from <paramref name="first"/> on a bit for each that a write of the caller's is in flight to.</summary>
    internal ulong WritesIn(ulong stripe, uint first)
    {
        ulong bits = 0;
        foreach (ref readonly StripedRequest request in _requests.All)
        {
            if (request.Stripe == stripe && request.Pages > 0 && !request.IsOwn && request.Slot < first + 64 && request.Slot + (uint)request.Pages > first)
            {
                int from = (int)(Math.Max(request.Slot, first) - first), to = (int)(Math.Min(request.Slot + (uint)request.Pages, first + 64) - first);
                bits |= ulong.MaxValue >> (64 - (to - from)) << from;
            }
        }

        return bits;
    }

    /// <summary>Has a WRITE send its pages sealed, from the sealer's memory; false while there is no room.</summary>
    private bool TrySeal(ref StripedRequest request)
    {
        // What no sponsor has any more is sent nowhere.
        if (_set.Stripes[request.Stripe] is not { } stripe)
        {
            return true;
        }

        byte* run = _set.Sealer!.Seal(stripe.Seal, request.Slot, request.Pages, request.Buffer);
        request.IsSealed = run != null;
        request.Buffer = run;
        return request.IsSealed;
    }

    private void NoteWrite(ulong number, uint slot, int pages, byte* buffer)
    {
        _set.Copier?.NoteWrite(number, slot, pages);
        _set.Repair?.NoteWrite(number, slot, pages);
        if (_set.Stripes[number] is not { } stripe)
        {
            return;
        }

        if (_set.Sealer is { } sealer)
        {
            sealer.Note(stripe.Seal, slot, pages);
            return;
        }

        for (int i = 0; i < pages; i++)
        {
            stripe.Sums[slot + i] = PageSum.Of(buffer + ((nint)i << PageSize.Shift));
        }
    }

    /// <summary>
    /// Posts a WRITE to every replica that is here. Those that are away miss it, and are out; where all are, it waits for them.
    /// </summary>
    private Route DirectWrite(int place)
    {
        ref StripedRequest request = ref _requests[place];
        StripeTable.Stripe? stripe = _set.Stripes[request.Stripe];
        if (stripe is null || stripe.IsLost)
        {
            return Route.Nowhere;
        }

        bool isLiveHere = false;
        for (int i = 0; i < StripeTable.ReplicasMax; i++)
        {
            ref Replica replica = ref stripe.Replicas[i];
            isLiveHere |= replica.State == ReplicaState.Live && !_members[replica.Sponsor].Connection!.IsAway;
        }

        for (int i = 0; i < StripeTable.ReplicasMax; i++)
        {
            Replica replica = stripe.Replicas[i];
            if (replica.State == ReplicaState.None)
            {
                continue;
            }

            if (_members[replica.Sponsor].Connection!.IsAway && (isLiveHere || replica.State == ReplicaState.Filling))
            {
                _set.DropReplica(request.Stripe, replica.Sponsor);
            }
            else
            {
                request.Wanted |= 1UL << replica.Sponsor;
            }
        }

        PostWanted(place, stripe);
        if (request.Posted != 0)
        {
            if (request.Wanted != 0)
            {
                Queue(place);
            }

            return Route.Taken;
        }

        // No room, or the only one that is here is being repaired.
        bool isFull = request.Wanted != 0;
        request.Wanted = 0;
        return isFull ? Route.Full : stripe.IsLost ? Route.Nowhere : DirectWrite(place);
    }

    /// <summary>Posts a WRITE where it is yet to go, as far as it is taken.</summary>
    private void PostWanted(int place, StripeTable.Stripe stripe)
    {
        ref StripedRequest request = ref _requests[place];
        for (ulong left = request.Wanted; left != 0; left &= left - 1)
        {
            int sponsor = BitOperations.TrailingZeroCount(left);
            if (_set.Repair is { } repair && repair.IsWriting(sponsor, request.Stripe, request.Slot, request.Pages))
            {
                // It waits there until the older page has been written.
                continue;
            }

            if (SponsorSet.Find(stripe, sponsor) < 0 || (!TryPostTo(sponsor, place, stripe) && _members.NoteIfLost(sponsor)))
            {
                request.Wanted &= ~(1UL << sponsor);
            }
        }
    }

    /// <summary>Nobody is to answer any more: true when a replica that is still one has it.</summary>
    private bool EndWrite(int place)
    {
        ref StripedRequest request = ref _requests[place];
        if (_set.Stripes[request.Stripe] is { } stripe)
        {
            foreach (Replica replica in stripe.Replicas)
            {
                if (replica.State == ReplicaState.Live && (request.Done & (1UL << replica.Sponsor)) != 0)
                {
                    return true;
                }
            }
        }

        DirectElsewhere(place);
        return false;
    }
}
