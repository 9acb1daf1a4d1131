using Hecatonchire.Transport.Sealing;

namespace Hecatonchire.Transport.Striped;

/// <summary>
/// One connection over the connections to several sponsors: its slabs are stripes. A READ goes to one live replica, and to another when that one's sponsor goes; a
/// WRITE goes to all, and is done when each has acknowledged it or is out. One whose sponsor is away waits there only where there is no other.
/// Allocates nothing while no sponsor comes or goes.
/// </summary>
internal sealed unsafe partial class StripedConnection : IDataConnection
{
    private readonly SponsorSet _set;
    private readonly bool _isWriter;
    private readonly StripeMembers _members;
    private readonly ReadChoice _choice;
    private readonly StripedRequests _requests = new();
    private readonly DataCompletion[] _polled = new DataCompletion[64];

    /// <summary>Requests that wait for room on a connection, and those that have ended, well or not, and are not told yet.</summary>
    private readonly StripedQueue _again = new();
    private readonly StripedQueue _done = new();
    private readonly StripedQueue _failed = new();
    private readonly StripedQueue _lost = new();
    private int _pollTurn;

    private enum Route
    {
        /// <summary>Where it goes has taken it, or will.</summary>
        Taken,

        /// <summary>No request is free there now; nothing has changed.</summary>
        Full,

        /// <summary>No sponsor has the stripe any more.</summary>
        Nowhere,
    }

    /// <param name="set">Whose direction this is.</param>
    /// <param name="isWriter">Which.</param>
    /// <param name="policy">Which replica reads go to.</param>
    /// <param name="hedging">When a late read is asked of a second replica; null: never.</param>
    public StripedConnection(SponsorSet set, bool isWriter, ReadPolicy policy, Hedging? hedging)
    {
        (_set, _isWriter, _members) = (set, isWriter, new StripeMembers(set));
        _choice = new ReadChoice(_members, policy);
        if (hedging is not null)
        {
            // With no sponsor yet it cannot fail.
            _hedges = new ReadHedges(hedging);
            _ = _members.Register(_hedges.Memory, ReadHedges.Bytes);
        }

        if (isWriter && set.Sealer is { } sealer)
        {
            _ = _members.Register(sealer.Memory, PageSealer.Bytes);
        }
    }

    public string Transport => _members.Transport;

    public int PagesPerRequestMax => _isWriter && _set.IsSealed ? Math.Min(PageSealer.RunPagesMax, _members.PagesPerRequestMax) : _members.PagesPerRequestMax;

    public int FreeRequests => _requests.FreeCount;

    /// <summary>True once every sponsor is lost.</summary>
    public bool IsBroken => _set.Count == 0;

    public string? BreakReason => _members.BreakReason;

    public int WaitDescriptor => _members.WaitDescriptor;

    public uint WaitEvents => Interop.Libc.EPOLLIN;

    /// <summary>The longest sleep, so that a late read and a sponsor's silence are noticed.</summary>
    public int WaitMsMax => _set.Copier is { IsBusy: true } || _set.Repair is { IsBusy: true } || _hedges is { IsWatching: true } ? 1
        : _requests.FreeCount < StripedRequests.Max ? LookMs : int.MaxValue;

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(cookie, slab, slot, pages, buffer);

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(cookie, slab, slot, pages, buffer);

    public void Submit()
    {
        if (_isWriter)
        {
            // Its reads go out with the reader's, in the same round.
            _set.Copier?.Step();
            _set.Repair?.Step();
        }

        PostAgain();
        for (int i = 0; i < _members.End; i++)
        {
            _members[i].Connection?.Submit();
        }
    }

    public int Poll(Span<DataCompletion> completions)
    {
        int done = TakeEnded(completions, 0);
        for (int looked = 0; looked < _members.End && done < completions.Length; looked++)
        {
            int sponsor = _pollTurn;
            _pollTurn = _pollTurn + 1 < _members.End ? _pollTurn + 1 : 0;
            done = Poll(sponsor, completions, done);
        }

        HedgeLate();
        Look();
        PostAgain();
        return TakeEnded(completions, done);
    }

    public void Spin()
    {
        for (int i = 0; i < _members.End; i++)
        {
            if (_members[i].InFlight > 0)
            {
                _members[i].Connection!.Spin();
            }
        }
    }

    public bool PrepareToWait()
    {
        bool isReady = _failed.Count + _done.Count + _lost.Count == 0;
        for (int i = 0; i < _members.End; i++)
        {
            isReady &= _members[i].Connection?.PrepareToWait() != false;
        }

        return isReady;
    }

    public int Register(byte* memory, nuint bytes) => _members.Register(memory, bytes);

    public void Unregister(byte* memory) => _members.Unregister(memory);

    /// <summary>Nothing uses the buffers of what was in flight any more.</summary>
    public void Dispose()
    {
        _members.Dispose();
        _hedges?.Dispose();
    }

    internal bool Knows(int sponsor) => _members.Knows(sponsor);

    /// <summary>Throws <see cref="DataConnectionException"/>; then it is not added.</summary>
    internal void Add(int sponsor, ISponsorConnection connection) => _members.Add(sponsor, connection);

    internal void Remove(int sponsor) => _members.Remove(sponsor);

    /// <summary>
    /// A READ or WRITE of the copier's or the repairer's, whose end they are told: of one sponsor, or a READ of any (<paramref name="target"/> -1) but some, by their bits.
    /// </summary>
    internal bool TryPostOwn(StripedOwner owner, int number, ulong stripe, uint slot, int pages, byte* buffer, int target, ulong excluded = 0)
    {
        if (_requests.FreeCount == 0 || _set.Stripes[stripe] is not { } known)
        {
            return false;
        }

        int place = _requests.Next;
        _requests[place] = new StripedRequest
        {
            Cookie = (ulong)number,
            Stripe = stripe,
            Slot = slot,
            Pages = pages,
            Buffer = buffer,
            Owner = owner,
            IsDirected = target >= 0,
            Wrong = excluded,
        };
        _requests.Take();
        if (target >= 0 ? SponsorSet.Find(known, target) >= 0 && TryPostTo(target, place, known) : DirectRead(place) == Route.Taken)
        {
            return true;
        }

        _requests.Release(place);
        return false;
    }

    private bool TryPost(ulong cookie, ulong stripe, uint slot, int pages, byte* buffer)
    {
        if (_requests.FreeCount == 0 || pages < 1 || pages > PagesPerRequestMax || IsBroken)
        {
            return false;
        }

        int place = _requests.Next;
        ref StripedRequest request = ref _requests[place];
        request = new StripedRequest { Cookie = cookie, Stripe = stripe, Slot = slot, Pages = pages, Buffer = buffer };
        if (_isWriter && _set.IsSealed)
        {
            if (!TrySeal(ref request))
            {
                return false;
            }
        }
        else
        {
            LandApart(ref request);
        }

        _requests.Take();
        Route route = Direct(place);
        if (route == Route.Full)
        {
            Discard(place);
            return false;
        }

        if (_isWriter)
        {
            NoteWrite(stripe, slot, pages, _requests[place].Buffer);
        }
        else if (pages == 1)
        {
            _hedges?.NoteRead();
        }

        if (route == Route.Nowhere)
        {
            _failed.Add(place);
        }

        return true;
    }

    private Route Direct(int place) => _isWriter ? DirectWrite(place) : DirectRead(place);

    private bool TryPostTo(int sponsor, int place, StripeTable.Stripe stripe)
    {
        ref StripedRequest request = ref _requests[place];
        ref StripeMembers.Member member = ref _members[sponsor];
        ulong slab = stripe.Replicas[SponsorSet.Find(stripe, sponsor)].Slab;
        ISponsorConnection connection = member.Connection!;
        if (!(_isWriter
            ? connection.TryPostWrite((ulong)place, slab, request.Slot, request.Pages, request.Buffer)
            : connection.TryPostRead((ulong)place, slab, request.Slot, request.Pages, request.Buffer)))
        {
            return false;
        }

        if (member.InFlight++ == 0)
        {
            member.ProgressAt = _set.Clock();
        }

        request.PostedAt = _set.Ticks();
        request.Posted |= 1UL << sponsor;
        request.Wanted &= ~(1UL << sponsor);
        if (request is { IsApart: true, Twin: 0 })
        {
            _hedges!.Watch(place);
        }

        return true;
    }

    private int Poll(int sponsor, Span<DataCompletion> completions, int done)
    {
        ref StripeMembers.Member member = ref _members[sponsor];
        if (member.Connection is not { } connection)
        {
            return done;
        }

        int count = connection.Poll(_polled.AsSpan(0, Math.Min(_polled.Length, completions.Length - done)));
        if (count > 0)
        {
            member.ProgressAt = _set.Clock();
        }

        // Before its requests are sent elsewhere.
        _ = _members.NoteIfLost(sponsor);
        for (int i = 0; i < count; i++)
        {
            int place = (int)_polled[i].Cookie;
            bool isDone = _polled[i].Status == DataStatus.Done;
            if (isDone && _requests[place].Pages == 1)
            {
                long took = _set.Ticks() - _requests[place].PostedAt;
                ReadChoice.NoteService(ref member, took);
                _hedges?.Delays.Note(took);
            }

            if (_requests[place].IsAbandoned)
            {
                EndAbandoned(place, sponsor);
            }
            else if (!_isWriter && (_polled[i].Status == DataStatus.Lost ? 0 : isDone ? FirstWrong(in _requests[place]) : -1) is >= 0 and var wrong)
            {
                FindElsewhere(place, sponsor, wrong);
            }
            else if (Finish(place, sponsor, isDone))
            {
                Tell(place, DataStatus.Done, completions, ref done);
            }
        }

        if (member.InFlight > 0 && connection.IsAway)
        {
            Withdraw(sponsor, connection);
        }

        return done;
    }

    private void DirectElsewhere(int place)
    {
        switch (_requests[place].IsDirected ? Route.Nowhere : Direct(place))
        {
            case Route.Full:
                Queue(place);
                break;
            case Route.Nowhere when _requests[place].Wrong != 0 && _set.Stripes[_requests[place].Stripe] is { IsLost: false }:
                _lost.Add(place);
                break;
            case Route.Nowhere:
                _failed.Add(place);
                break;
            default:
                break;
        }
    }

    /// <summary>Posts what has found no room.</summary>
    private void PostAgain()
    {
        for (int left = _again.Count; left > 0; left--)
        {
            int place = _again.Take();
            ref StripedRequest request = ref _requests[place];
            request.IsQueued = false;
            if (!_isWriter || request.Wanted == 0)
            {
                DirectElsewhere(place);
                continue;
            }

            if (_set.Stripes[request.Stripe] is { } stripe)
            {
                PostWanted(place, stripe);
            }

            if (request.Wanted != 0)
            {
                Queue(place);
            }
            else if (request.Posted == 0 && EndWrite(place))
            {
                _done.Add(place);
            }
        }
    }

    private void Queue(int place)
    {
        if (!_requests[place].IsQueued)
        {
            _requests[place].IsQueued = true;
            _again.Add(place);
        }
    }
}
