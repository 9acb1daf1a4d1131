namespace Hecatonchire.Transport.Striped;

/// <content>
/// A read that is late is asked of a second replica, by a request of its own with a page of its own: its twin. The first right answer is told; the other is abandoned, and keeps
/// its place and its page until it has come or its connection has ended. Of twins that end otherwise the last goes on as if it had been alone.
/// </content>
internal sealed unsafe partial class StripedConnection
{
    private readonly ReadHedges? _hedges;

    /// <summary>Reads that were asked of a second replica; any thread may ask.</summary>
    internal long ReadsHedged => _hedges?.Hedged ?? 0;

    /// <summary>Those of them that the second answered first.</summary>
    internal long HedgesWon => _hedges?.Won ?? 0;

    public void Release(byte* buffer) => _hedges!.ReturnPage(buffer);

    /// <summary>Has a read land in a page of the connection's own where it could be asked twice.</summary>
    private void LandApart(ref StripedRequest request)
    {
        if (_hedges is null || request.Pages > 1 || _set.Stripes[request.Stripe] is not { } stripe || !HasTwoLive(stripe))
        {
            return;
        }

        byte* page = _hedges.TakePage();
        if (page != null)
        {
            request.Buffer = page;
            request.IsApart = true;
        }
    }

    /// <summary>A request ends without anybody who reads what came.</summary>
    private void Discard(int place)
    {
        if (_requests[place].IsApart)
        {
            _hedges!.ReturnPage(_requests[place].Buffer);
        }
        else if (_requests[place].IsSealed)
        {
            _set.Sealer!.Return(_requests[place].Buffer, _requests[place].Pages);
        }

        _requests.Release(place);
    }

    private static bool HasTwoLive(StripeTable.Stripe stripe)
    {
        int live = 0;
        foreach (ref readonly Replica replica in stripe.Replicas.AsSpan())
        {
            live += replica.State == ReplicaState.Live ? 1 : 0;
        }

        return live > 1;
    }

    /// <summary>Asks a second replica for what is late.</summary>
    private void HedgeLate()
    {
        if (_hedges is not { IsWatching: true } hedges)
        {
            return;
        }

        long since = _set.Ticks() - hedges.Delays.Limit;
        while (hedges.IsWatching && _requests[hedges.Oldest].PostedAt < since)
        {
            int place = hedges.Oldest;
            hedges.Unwatch(place);
            Hedge(place, hedges);
        }
    }

    private void Hedge(int place, ReadHedges hedges)
    {
        ref StripedRequest late = ref _requests[place];
        bool isFull = false;
        if (_requests.FreeCount == 0 || _set.Stripes[late.Stripe] is not { } stripe
            || _choice.Choose(stripe, isAway: false, late.Posted | late.Wrong, ref isFull) is var chosen && chosen < 0)
        {
            return;
        }

        byte* page = hedges.TakePage();
        if (page == null)
        {
            return;
        }

        int twin = _requests.Next;
        ref StripedRequest second = ref _requests[twin];
        second = late with { Buffer = page, Posted = 0, Twin = place + 1, IsHedge = true };
        _requests.Take();
        if (!TryPostTo(chosen, twin, stripe))
        {
            Discard(twin);
            return;
        }

        late.Twin = twin + 1;
        hedges.NoteHedged();

        // The next round's Submit may be a sleep away.
        _members[chosen].Connection!.Submit();
    }

    /// <summary>A read has been answered: nobody waits for its twin any more.</summary>
    private void AbandonTwin(int place)
    {
        ref StripedRequest request = ref _requests[place];
        if (request.Twin == 0)
        {
            return;
        }

        ref StripedRequest twin = ref _requests[request.Twin - 1];
        (twin.Twin, twin.IsAbandoned) = (0, true);
        if (request.IsHedge)
        {
            _hedges!.NoteWon();
        }
    }

    /// <summary>True when a read that has ended badly had a twin: that is the request now.</summary>
    private bool LeaveToTwin(int place)
    {
        ref StripedRequest request = ref _requests[place];
        if (request.Twin == 0)
        {
            return false;
        }

        ref StripedRequest twin = ref _requests[request.Twin - 1];
        twin.Wrong |= request.Wrong;
        twin.Attempts = Math.Max(twin.Attempts, request.Attempts);
        (twin.Twin, twin.IsHedge) = (0, false);
        Discard(place);
        return true;
    }

    /// <summary>What nobody waits for has come, or never will: its page is free.</summary>
    private void EndAbandoned(int place, int sponsor)
    {
        _members[sponsor].InFlight--;
        Discard(place);
    }
}
