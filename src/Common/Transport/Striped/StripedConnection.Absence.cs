namespace Hecatonchire.Transport.Striped;

/// <content>Sponsors that are away or silent: what another can do is asked of it.</content>
internal sealed unsafe partial class StripedConnection
{
    /// <summary>How often silence is looked for while something is in flight.</summary>
    private const int LookMs = 50;

    private readonly ulong[] _withdrawn = new ulong[64];
    private long _lookedAt;

    internal bool IsQuiet(int sponsor, long timestamp)
    {
        ulong bit = 1UL << sponsor;
        foreach (ref readonly StripedRequest request in _requests.All)
        {
            if ((request.Posted & bit) != 0 && request.PostedAt <= timestamp)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>True while anything in flight is about a stripe, something that nobody waits for included.</summary>
    internal bool IsInUse(ulong stripe)
    {
        foreach (ref readonly StripedRequest request in _requests.All)
        {
            if (request.Pages > 0 && request.Stripe == stripe)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>A sponsor is away: what another can do is asked of it, and what no other can waits.</summary>
    private void Withdraw(int sponsor, ISponsorConnection connection)
    {
        if (!HasAlternative(sponsor))
        {
            return;
        }

        // Those that are posted there again are not met twice.
        for (int left = _members[sponsor].InFlight; left > 0;)
        {
            int count = connection.Withdraw(_withdrawn.AsSpan(0, Math.Min(_withdrawn.Length, left)));
            if (count == 0)
            {
                return;
            }

            left -= count;
            for (int i = 0; i < count; i++)
            {
                Withdrawn((int)_withdrawn[i], sponsor);
            }
        }
    }

    private void Withdrawn(int place, int sponsor)
    {
        ref StripedRequest request = ref _requests[place];
        if (request.IsAbandoned)
        {
            EndAbandoned(place, sponsor);
            return;
        }

        StripeTable.Stripe? stripe = _set.Stripes[request.Stripe];
        if (stripe is not null && _isWriter && !request.IsOwn && !IsLiveElsewhere(stripe, sponsor))
        {
            int replica = SponsorSet.Find(stripe, sponsor);
            if (replica >= 0 && stripe.Replicas[replica].State == ReplicaState.Live)
            {
                // It waits there, alone or with others that are away.
                request.Posted &= ~(1UL << sponsor);
                request.Wanted |= 1UL << sponsor;
                _members[sponsor].InFlight--;
                if (!TryPostTo(sponsor, place, stripe))
                {
                    Queue(place);
                }

                return;
            }
        }

        if (Finish(place, sponsor, isDone: false))
        {
            // Carried out by all that are left.
            _done.Add(place);
        }
    }

    /// <summary>True when something in flight on a sponsor could be had from another that is here, or was.</summary>
    private bool HasAlternative(int sponsor)
    {
        ulong bit = 1UL << sponsor;
        foreach (ref StripedRequest request in _requests.All)
        {
            if ((request.Posted & bit) != 0 && (request.IsAbandoned || (_set.Stripes[request.Stripe] is { } stripe && IsLiveElsewhere(stripe, sponsor))))
            {
                return true;
            }
        }

        return false;
    }

    private bool IsLiveElsewhere(StripeTable.Stripe stripe, int sponsor)
    {
        foreach (Replica replica in stripe.Replicas)
        {
            if (replica.State == ReplicaState.Live && replica.Sponsor != sponsor && !_members[replica.Sponsor].Connection!.IsAway)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Now and then: a sponsor that is silent while others could answer is left.</summary>
    private void Look()
    {
        if (_requests.FreeCount == StripedRequests.Max)
        {
            return;
        }

        long now = _set.Clock();
        if (now - _lookedAt < LookMs)
        {
            return;
        }

        // What this thread did not look for it cannot have missed.
        long unseen = now - _lookedAt - LookMs;
        _lookedAt = now;
        for (int i = 0; i < _members.End; i++)
        {
            ref StripeMembers.Member member = ref _members[i];
            member.ProgressAt = unseen > LookMs ? Math.Min(now, member.ProgressAt + unseen) : member.ProgressAt;
            if (member.InFlight > 0 && member.Connection is { IsAway: false, IsBroken: false } && now - member.ProgressAt > _set.SilenceMsMax && HasAlternative(i))
            {
                member.Connection.Leave("it does not answer");
                Withdraw(i, member.Connection);
            }
        }
    }
}
