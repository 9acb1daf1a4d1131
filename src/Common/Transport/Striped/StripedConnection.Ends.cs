namespace Hecatonchire.Transport.Striped;

/// <content>How requests end: what a sponsor's answer comes to, and who is told.</content>
internal sealed unsafe partial class StripedConnection
{
    /// <summary>A sponsor has answered a request, or will not. True when that ends it well; what is to be said or done else is noted.</summary>
    private bool Finish(int place, int sponsor, bool isDone)
    {
        ref StripedRequest request = ref _requests[place];
        ulong bit = 1UL << sponsor;
        request.Posted &= ~bit;
        _members[sponsor].InFlight--;
        if (!_isWriter)
        {
            _hedges?.Unwatch(place);
            if (isDone)
            {
                AbandonTwin(place);
            }
            else if (!LeaveToTwin(place))
            {
                DirectElsewhere(place);
            }

            return isDone;
        }

        if (isDone)
        {
            request.Done |= bit;
        }
        else if (request.Owner != StripedOwner.Repair)
        {
            // A repair that fails has changed nothing, or made it right: where what it sent may be under way yet, a fence comes before anything newer.
            _set.DropReplica(request.Stripe, sponsor);
        }

        if (request.IsOwn)
        {
            if (!isDone)
            {
                _failed.Add(place);
            }

            return isDone;
        }

        return request.Posted == 0 && request.Wanted == 0 && EndWrite(place);
    }

    private int TakeEnded(Span<DataCompletion> completions, int done)
    {
        while (done < completions.Length && _done.Count > 0)
        {
            Tell(_done.Take(), DataStatus.Done, completions, ref done);
        }

        while (done < completions.Length && _failed.Count > 0)
        {
            Tell(_failed.Take(), DataStatus.Disconnected, completions, ref done);
        }

        while (done < completions.Length && _lost.Count > 0)
        {
            int place = _lost.Take();
            if (!_requests[place].IsOwn)
            {
                _set.OnGivenUp?.Invoke(_requests[place].Stripe, _requests[place].Pages);
            }

            Tell(place, DataStatus.Lost, completions, ref done);
        }

        return done;
    }

    /// <summary>A request has ended: its place is free, and who made it is told.</summary>
    private void Tell(int place, DataStatus status, Span<DataCompletion> completions, ref int done)
    {
        StripedRequest request = _requests[place];
        byte* named = request.IsApart && status == DataStatus.Done ? request.Buffer : null;
        if (named != null)
        {
            _requests.Release(place);
        }
        else
        {
            Discard(place);
        }

        if (request.IsOwn)
        {
            _set.NoteEnd(request.Owner, (int)request.Cookie, status);
        }
        else
        {
            completions[done++] = new DataCompletion(request.Cookie, status, named);
        }
    }
}
