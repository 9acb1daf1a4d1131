using Hecatonchire.Transport.Sealing;
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
            if (away == 1 && request.Wrong != 0 && !stripe.HasLiveBut(request.Wrong) && ++request.Attempts < AttemptsMax)
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

    /// <summary>
    /// The first page of an answer that is not what was last written, as far as anybody here knows what that was; -1 when there is none. What was sealed is open up to there, unless it
    /// is to be written elsewhere as it is.
    /// </summary>
    private int FirstWrong(in StripedRequest request)
    {
        if (_set.Stripes[request.Stripe] is not { } stripe)
        {
            return _set.IsSealed && !request.IsOwn ? 0 : -1;
        }

        for (int i = 0; i < request.Pages; i++)
        {
            // What the program writes to while it is copied is of either version, and copied again.
            if (!IsRight(stripe, in request, i, opens: !request.IsOwn) && !(request.IsOwn && _set.IsDirty(request.Owner, (int)request.Cookie, request.Slot + (uint)i)))
            {
                return i;
            }
        }

        return -1;
    }

    private bool IsRight(StripeTable.Stripe stripe, in StripedRequest request, int index, bool opens)
    {
        uint slot = request.Slot + (uint)index;
        byte* page = request.Buffer + ((nint)index << PageSize.Shift);
        if (_set.Sealer is not { } sealer)
        {
            return stripe.Sums[slot] == 0 || stripe.Sums[slot] == PageSum.Of(page);
        }

        // A slot that was never written to can be copied, but there is nothing in it to be had.
        return opens ? sealer.TryOpen(stripe.Seal, slot, page) : !stripe.Knows(slot) || sealer.IsRight(stripe.Seal, slot, page);
    }

    /// <summary>Those of an answer that are wrong, from the first of them on, are written anew where there is another replica to have them from.</summary>
    private void NoteWrongPages(in StripedRequest request, int sponsor, int first)
    {
        if (_set.Stripes[request.Stripe] is not { } stripe || !stripe.HasLiveBut(1UL << sponsor))
        {
            return;
        }

        for (int i = first; i < request.Pages; i++)
        {
            if (!IsRight(stripe, in request, i, opens: false))
            {
                _set.Repair!.Note(request.Stripe, request.Slot + (uint)i, sponsor);
            }
        }
    }

    /// <summary>A sponsor's answer is wrong from its page <paramref name="first"/> on: it is asked of the next, or of all again, or given up.</summary>
    private void FindElsewhere(int place, int sponsor, int first)
    {
        ref StripedRequest request = ref _requests[place];
        _set.OnCorrupted?.Invoke(sponsor);
        if (_set.Repair is not null && request.Owner != StripedOwner.Repair)
        {
            NoteWrongPages(in request, sponsor, first);
        }

        request.Posted &= ~(1UL << sponsor);
        _members[sponsor].InFlight--;
        request.Wrong |= 1UL << sponsor;
        _hedges?.Unwatch(place);
        if (!LeaveToTwin(place))
        {
            DirectElsewhere(place);
        }
    }
}
