using Hecatonchire.Units;

namespace Hecatonchire.Transport.Striped;

/// <content>READs: which replica is asked, whether what came is what was written, and who is asked else.</content>
internal sealed unsafe partial class StripedConnection
{
    /// <summary>How often each replica is read before a page whose sum is wrong is given up: what flips bits on the way may do so again.</summary>
    private const int AttemptsMax = 3;

    /// <summary>Posts a READ to the replica that promises most; to one that is away only where no other has the stripe.</summary>
    private Route DirectRead(int place)
    {
        ref StripedRequest request = ref _requests[place];
        StripeTable.Stripe? stripe = _set.Stripes[request.Stripe];
        bool isFull = false;
        for (int away = 0; stripe is not null && away < 2 && !isFull;)
        {
            if (away == 1 && request.Wrong != 0 && !HasOther(stripe, request.Wrong) && ++request.Attempts < AttemptsMax)
            {
                // Each has answered wrong: all are asked again.
                (request.Wrong, away) = (0, 0);
            }

            int chosen = _choice.Choose(stripe, away == 1, request.Wrong, ref isFull);
            if (chosen < 0)
            {
                away++;
            }
            else if (TryPostTo(chosen, place, stripe))
            {
                return Route.Taken;
            }
            else
            {
                isFull |= !_members.NoteIfLost(chosen);
            }
        }

        return isFull ? Route.Full : Route.Nowhere;
    }

    /// <summary>True when what has come is what was last written, or nobody here knows what that was.</summary>
    private bool IsRight(in StripedRequest request)
    {
        if (_set.Stripes[request.Stripe] is { } stripe)
        {
            for (int i = 0; i < request.Pages; i++)
            {
                uint sum = stripe.Sums[request.Slot + i];
                if (sum != 0 && sum != PageSum.Of(request.Buffer + ((nint)i << PageSize.Shift)))
                {
                    // What the program writes to while it is copied is of either version, and copied again.
                    return request.IsCopy && _set.Copier!.IsDirty((int)request.Cookie);
                }
            }
        }

        return true;
    }

    /// <summary>A sponsor's answer is wrong: it is asked of the next, or of all again, or given up.</summary>
    private void FindElsewhere(int place, int sponsor)
    {
        ref StripedRequest request = ref _requests[place];
        _set.OnCorrupted?.Invoke(sponsor);
        request.Posted &= ~(1UL << sponsor);
        _members[sponsor].InFlight--;
        request.Wrong |= 1UL << sponsor;
        DirectElsewhere(place);
    }

    private static bool HasOther(StripeTable.Stripe stripe, ulong sponsors)
    {
        foreach (Replica replica in stripe.Replicas)
        {
            if (replica.State == ReplicaState.Live && (sponsors & (1UL << replica.Sponsor)) == 0)
            {
                return true;
            }
        }

        return false;
    }
}
