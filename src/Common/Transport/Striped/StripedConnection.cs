using System.Diagnostics;
using System.Numerics;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Striped;

/// <summary>
/// One connection over the connections to several sponsors: its slabs are stripes. A READ goes to one live replica, and to another when that one's sponsor goes; a
/// WRITE goes to all, and is done when each has acknowledged it or is out. One whose sponsor is away waits there only where there is no other.
/// Allocates nothing while no sponsor comes or goes.
/// </summary>
internal sealed unsafe class StripedConnection : IDataConnection
{
    private const int RequestsMax = 512;

    /// <summary>How often silence is looked for while something is in flight.</summary>
    private const int LookMs = 50;

    private const int ServiceShift = 3;
    private const int ForgetShift = 10;

    /// <summary>How often each replica is read before a page whose sum is wrong is given up: what flips bits on the way may do so again.</summary>
    private const int AttemptsMax = 3;

    private readonly SponsorSet _set;
    private readonly int _waitSet = Interop.Libc.EpollCreate(Interop.Libc.EPOLL_CLOEXEC);
    private readonly bool _isWriter;
    private readonly ReadPolicy _policy;
    private readonly Member[] _members = new Member[SponsorSet.SponsorsMax];
    private readonly Request[] _requests = new Request[RequestsMax];
    private readonly int[] _free = new int[RequestsMax];
    private readonly DataCompletion[] _polled = new DataCompletion[64];
    private readonly ulong[] _withdrawn = new ulong[64];
    private readonly List<(nint Memory, nuint Bytes)> _registered = [];

    /// <summary>Requests that wait for room on a connection, and those that have ended, well or not, and are not told yet.</summary>
    private readonly Places _again = new();
    private readonly Places _done = new();
    private readonly Places _failed = new();
    private readonly Places _lost = new();
    private int _freeCount = RequestsMax;
    private int _end;
    private int _pollTurn;
    private int _turn;
    private long _lookedAt;

    /// <summary>What is known of a sponsor in this direction.</summary>
    private struct Member
    {
        public ISponsorConnection? Connection;
        public int InFlight;

        /// <summary>When something last completed, or was posted with nothing in flight; milliseconds.</summary>
        public long ProgressAt;

        /// <summary>What a single page takes, smoothed, in ticks of the stopwatch.</summary>
        public long ServiceTime;
    }

    private struct Request
    {
        public ulong Cookie;
        public ulong Stripe;
        public byte* Buffer;
        public uint Slot;
        public int Pages;
        public long PostedAt;

        /// <summary>Sponsors by their bits: where it is in flight, where it is yet to be posted, which have carried it out.</summary>
        public ulong Posted;
        public ulong Wanted;
        public ulong Done;

        /// <summary>Sponsors whose answer was wrong, since it has been asked of all.</summary>
        public ulong Wrong;
        public int Attempts;

        /// <summary>It waits for room.</summary>
        public bool IsQueued;

        /// <summary>The copier's, not the caller's: the cookie is its window.</summary>
        public bool IsCopy;
    }

    private enum Route
    {
        /// <summary>Where it goes has taken it, or will.</summary>
        Taken,

        /// <summary>No request is free there now; nothing has changed.</summary>
        Full,

        /// <summary>No sponsor has the stripe any more.</summary>
        Nowhere,
    }

    public StripedConnection(SponsorSet set, bool isWriter, ReadPolicy policy)
    {
        (_set, _isWriter, _policy) = (set, isWriter, policy);
        WaitDescriptor = _waitSet;
        for (int i = 0; i < RequestsMax; i++)
        {
            _free[i] = RequestsMax - 1 - i;
        }
    }

    public string Transport => _members.Take(_end).FirstOrDefault(member => member.Connection is not null).Connection?.Transport ?? "none";

    public int PagesPerRequestMax { get; private set; } = int.MaxValue;

    public int FreeRequests => _freeCount;

    /// <summary>True once every sponsor is lost.</summary>
    public bool IsBroken => _set.Count == 0;

    public string? BreakReason { get; private set; }

    /// <summary>Of a single sponsor its own: each level of epoll costs whoever sends half a microsecond.</summary>
    public int WaitDescriptor { get; private set; }

    public uint WaitEvents => Interop.Libc.EPOLLIN;

    /// <summary>The longest sleep, so that a sponsor's silence is noticed.</summary>
    public int WaitMsMax => _set.Copier is { IsBusy: true } ? 1 : _freeCount < RequestsMax ? LookMs : int.MaxValue;

    public bool TryPostRead(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(cookie, slab, slot, pages, buffer);

    public bool TryPostWrite(ulong cookie, ulong slab, uint slot, int pages, byte* buffer) => TryPost(cookie, slab, slot, pages, buffer);

    public void Submit()
    {
        if (_isWriter)
        {
            // Its reads go out with the reader's, in the same round.
            _set.Copier?.Step();
        }

        PostAgain();
        for (int i = 0; i < _end; i++)
        {
            _members[i].Connection?.Submit();
        }
    }

    public int Poll(Span<DataCompletion> completions)
    {
        int done = TakeEnded(completions, 0);
        for (int looked = 0; looked < _end && done < completions.Length; looked++)
        {
            int sponsor = _pollTurn;
            _pollTurn = _pollTurn + 1 < _end ? _pollTurn + 1 : 0;
            done = Poll(sponsor, completions, done);
        }

        Look();
        PostAgain();
        return TakeEnded(completions, done);
    }

    public void Spin()
    {
        for (int i = 0; i < _end; i++)
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
        for (int i = 0; i < _end; i++)
        {
            isReady &= _members[i].Connection?.PrepareToWait() != false;
        }

        return isReady;
    }

    public int Register(byte* memory, nuint bytes)
    {
        for (int i = 0; i < _end; i++)
        {
            int errno = _members[i].Connection?.Register(memory, bytes) ?? 0;
            if (errno != 0)
            {
                while (--i >= 0)
                {
                    _members[i].Connection?.Unregister(memory);
                }

                return errno;
            }
        }

        _registered.Add(((nint)memory, bytes));
        return 0;
    }

    public void Unregister(byte* memory)
    {
        _ = _registered.RemoveAll(region => region.Memory == (nint)memory);
        for (int i = 0; i < _end; i++)
        {
            _members[i].Connection?.Unregister(memory);
        }
    }

    public void Dispose() => _ = Interop.Libc.Close(_waitSet);

    internal bool Knows(int sponsor) => _members[sponsor].Connection is not null;

    /// <summary>Throws <see cref="DataConnectionException"/>; then it is not added.</summary>
    internal void Add(int sponsor, ISponsorConnection connection)
    {
        foreach ((nint memory, nuint bytes) in _registered)
        {
            int errno = connection.Register((byte*)memory, bytes);
            if (errno != 0)
            {
                throw new DataConnectionException(DataConnectionFailure.Memory, DataConnectionException.NotRegistered((long)bytes, errno));
            }
        }

        _members[sponsor] = new Member { Connection = connection };
        _end = Math.Max(_end, sponsor + 1);
        PagesPerRequestMax = Math.Min(PagesPerRequestMax, connection.PagesPerRequestMax);
        Watch(connection, Interop.Libc.EPOLL_CTL_ADD);
        ChooseWaitDescriptor();
    }

    internal void Remove(int sponsor)
    {
        if (_members[sponsor].Connection is { } connection)
        {
            Watch(connection, Interop.Libc.EPOLL_CTL_DEL);
            _members[sponsor] = default;
            ChooseWaitDescriptor();
        }
    }

    internal bool IsQuiet(int sponsor, long timestamp)
    {
        ulong bit = 1UL << sponsor;
        return _members[sponsor].InFlight == 0 || !Array.Exists(_requests, request => (request.Posted & bit) != 0 && request.PostedAt <= timestamp);
    }

    /// <summary>True while a write of the caller's is in flight to one of those slots.</summary>
    internal bool IsWriting(ulong stripe, uint slot, int pages)
    {
        foreach (ref readonly Request request in _requests.AsSpan())
        {
            if (request.Stripe == stripe && request.Pages > 0 && !request.IsCopy && request.Slot < slot + (uint)pages && request.Slot + (uint)request.Pages > slot)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The copier's READ, or its WRITE to one sponsor; <see cref="StripeCopier.NoteEnd"/> is told its end.</summary>
    internal bool TryPostCopy(int window, ulong stripe, uint slot, int pages, byte* buffer, int target)
    {
        if (_freeCount == 0 || _set.Stripes[stripe] is not { } known)
        {
            return false;
        }

        int place = _free[_freeCount - 1];
        _requests[place] = new Request { Cookie = (ulong)window, Stripe = stripe, Slot = slot, Pages = pages, Buffer = buffer, IsCopy = true };
        if (target >= 0 ? SponsorSet.Find(known, target) >= 0 && TryPostTo(target, place, known) : DirectRead(place) == Route.Taken)
        {
            _freeCount--;
            return true;
        }

        _requests[place] = default;
        return false;
    }

    private bool TryPost(ulong cookie, ulong stripe, uint slot, int pages, byte* buffer)
    {
        if (_freeCount == 0 || pages < 1 || pages > PagesPerRequestMax || IsBroken)
        {
            return false;
        }

        int place = _free[_freeCount - 1];
        _requests[place] = new Request { Cookie = cookie, Stripe = stripe, Slot = slot, Pages = pages, Buffer = buffer };
        Route route = Direct(place);
        if (route == Route.Full)
        {
            _requests[place] = default;
            return false;
        }

        _freeCount--;
        if (_isWriter)
        {
            NoteWrite(stripe, slot, pages, buffer);
        }

        if (route == Route.Nowhere)
        {
            _failed.Add(place);
        }

        return true;
    }

    private void NoteWrite(ulong number, uint slot, int pages, byte* buffer)
    {
        _set.Copier?.NoteWrite(number, slot, pages);
        if (_set.Stripes[number] is { } stripe)
        {
            for (int i = 0; i < pages; i++)
            {
                stripe.Sums[slot + i] = PageSum.Of(buffer + ((nint)i << PageSize.Shift));
            }
        }
    }

    private Route Direct(int place) => _isWriter ? DirectWrite(place) : DirectRead(place);

    /// <summary>Posts a READ to the replica that promises most; to one that is away only where no other has the stripe.</summary>
    private Route DirectRead(int place)
    {
        ref Request request = ref _requests[place];
        StripeTable.Stripe? stripe = _set.Stripes[request.Stripe];
        bool isFull = false;
        for (int away = 0; stripe is not null && away < 2 && !isFull;)
        {
            if (away == 1 && request.Wrong != 0 && !HasOther(stripe, request.Wrong) && ++request.Attempts < AttemptsMax)
            {
                // Each has answered wrong: all are asked again.
                (request.Wrong, away) = (0, 0);
            }

            int chosen = Choose(stripe, away == 1, request.Wrong, ref isFull);
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
                isFull |= !NoteIfLost(chosen);
            }
        }

        return isFull ? Route.Full : Route.Nowhere;
    }

    private int Choose(StripeTable.Stripe stripe, bool isAway, ulong wrong, ref bool isFull)
    {
        int chosen = -1;
        long least = long.MaxValue;
        Replica[] replicas = stripe.Replicas;
        for (int i = 0; i < replicas.Length; i++)
        {
            int sponsor = replicas[i].Sponsor;
            ref Member member = ref _members[sponsor];
            if (replicas[i].State != ReplicaState.Live || (wrong & (1UL << sponsor)) != 0 || member.Connection!.IsAway != isAway)
            {
                continue;
            }

            if (member.Connection.FreeRequests == 0)
            {
                isFull |= !NoteIfLost(sponsor);
                continue;
            }

            // What was slow once is tried again some time.
            member.ServiceTime -= member.ServiceTime >> ForgetShift;
            long cost = _policy switch
            {
                ReadPolicy.ShortestQueue => member.InFlight,
                ReadPolicy.RoundRobin => sponsor >= _turn ? sponsor - _turn : sponsor + SponsorSet.SponsorsMax - _turn,
                _ => (member.ServiceTime + 1) * (member.InFlight + 1),
            };
            if (cost < least)
            {
                (chosen, least) = (sponsor, cost);
            }
        }

        if (_policy == ReadPolicy.RoundRobin && chosen >= 0)
        {
            _turn = chosen + 1 < _end ? chosen + 1 : 0;
        }

        isFull &= chosen < 0;
        return chosen;
    }

    /// <summary>
    /// Posts a WRITE to every replica that is here. Those that are away miss it, and are out; where all are, it waits for them.
    /// </summary>
    private Route DirectWrite(int place)
    {
        ref Request request = ref _requests[place];
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

        bool isFull = request.Wanted != 0;
        request.Wanted = 0;
        return isFull ? Route.Full : stripe.IsLost ? Route.Nowhere : DirectWrite(place);
    }

    /// <summary>Posts a WRITE where it is yet to go, as far as it is taken.</summary>
    private void PostWanted(int place, StripeTable.Stripe stripe)
    {
        ref Request request = ref _requests[place];
        for (ulong left = request.Wanted; left != 0; left &= left - 1)
        {
            int sponsor = BitOperations.TrailingZeroCount(left);
            if (SponsorSet.Find(stripe, sponsor) < 0 || (!TryPostTo(sponsor, place, stripe) && NoteIfLost(sponsor)))
            {
                request.Wanted &= ~(1UL << sponsor);
            }
        }
    }

    private bool TryPostTo(int sponsor, int place, StripeTable.Stripe stripe)
    {
        ref Request request = ref _requests[place];
        ref Member member = ref _members[sponsor];
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

        request.PostedAt = Stopwatch.GetTimestamp();
        request.Posted |= 1UL << sponsor;
        request.Wanted &= ~(1UL << sponsor);
        return true;
    }

    private int Poll(int sponsor, Span<DataCompletion> completions, int done)
    {
        ref Member member = ref _members[sponsor];
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
        _ = NoteIfLost(sponsor);
        for (int i = 0; i < count; i++)
        {
            int place = (int)_polled[i].Cookie;
            NoteService(ref member, in _requests[place], _polled[i].Status);
            bool isDone = _polled[i].Status == DataStatus.Done;
            if (!_isWriter && (_polled[i].Status == DataStatus.Lost || (isDone && !IsRight(in _requests[place]))))
            {
                FindElsewhere(place, sponsor);
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

    /// <summary>True when what has come is what was last written, or nobody here knows what that was.</summary>
    private bool IsRight(in Request request)
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
        ref Request request = ref _requests[place];
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

    private static void NoteService(ref Member member, in Request request, DataStatus status)
    {
        if (status == DataStatus.Done && request.Pages == 1)
        {
            long took = Stopwatch.GetTimestamp() - request.PostedAt;
            member.ServiceTime += member.ServiceTime == 0 ? took : (took - member.ServiceTime) >> ServiceShift;
        }
    }

    /// <summary>A sponsor has answered a request, or will not. True when that ends it well; what is to be said or done else is noted.</summary>
    private bool Finish(int place, int sponsor, bool isDone)
    {
        ref Request request = ref _requests[place];
        ulong bit = 1UL << sponsor;
        request.Posted &= ~bit;
        _members[sponsor].InFlight--;
        if (!_isWriter)
        {
            if (!isDone)
            {
                DirectElsewhere(place);
            }

            return isDone;
        }

        if (isDone)
        {
            request.Done |= bit;
        }
        else
        {
            _set.DropReplica(request.Stripe, sponsor);
        }

        if (request.IsCopy)
        {
            if (!isDone)
            {
                _failed.Add(place);
            }

            return isDone;
        }

        return request.Posted == 0 && request.Wanted == 0 && EndWrite(place);
    }

    /// <summary>Nobody is to answer any more: true when a replica that is still one has it.</summary>
    private bool EndWrite(int place)
    {
        ref Request request = ref _requests[place];
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

    private void DirectElsewhere(int place)
    {
        switch (Direct(place))
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
        ref Request request = ref _requests[place];
        StripeTable.Stripe? stripe = _set.Stripes[request.Stripe];
        if (stripe is not null && _isWriter && !request.IsCopy && !IsLiveElsewhere(stripe, sponsor))
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

    /// <summary>True when something in flight on a sponsor could be had from another that is here.</summary>
    private bool HasAlternative(int sponsor)
    {
        ulong bit = 1UL << sponsor;
        foreach (ref Request request in _requests.AsSpan())
        {
            if ((request.Posted & bit) != 0 && _set.Stripes[request.Stripe] is { } stripe && IsLiveElsewhere(stripe, sponsor))
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
        if (_freeCount == RequestsMax)
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
        for (int i = 0; i < _end; i++)
        {
            ref Member member = ref _members[i];
            member.ProgressAt = unseen > LookMs ? Math.Min(now, member.ProgressAt + unseen) : member.ProgressAt;
            if (member.InFlight > 0 && member.Connection is { IsAway: false, IsBroken: false } && now - member.ProgressAt > _set.SilenceMsMax && HasAlternative(i))
            {
                member.Connection.Leave("it does not answer");
                Withdraw(i, member.Connection);
            }
        }
    }

    /// <summary>Posts what has found no room.</summary>
    private void PostAgain()
    {
        for (int left = _again.Count; left > 0; left--)
        {
            int place = _again.Take();
            ref Request request = ref _requests[place];
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

    private bool NoteIfLost(int sponsor)
    {
        if (_members[sponsor].Connection is not { IsBroken: true } connection)
        {
            return false;
        }

        BreakReason = connection.BreakReason ?? BreakReason;
        _set.NoteLost(sponsor, connection.BreakReason);
        return true;
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
            if (!_requests[place].IsCopy)
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
        Request request = _requests[place];
        _requests[place] = default;
        _free[_freeCount++] = place;
        if (request.IsCopy)
        {
            _set.Copier?.NoteEnd((int)request.Cookie, status);
        }
        else
        {
            completions[done++] = new DataCompletion(request.Cookie, status);
        }
    }

    private void ChooseWaitDescriptor()
    {
        Member[] known = Array.FindAll(_members, static member => member.Connection is not null);
        WaitDescriptor = known.Length == 1 ? known[0].Connection!.WaitDescriptor : _waitSet;
    }

    private void Watch(ISponsorConnection connection, int operation)
    {
        if (connection.WaitDescriptor >= 0)
        {
            Interop.EpollEvent change = new() { Events = connection.WaitEvents, Data = (ulong)connection.WaitDescriptor };
            _ = Interop.Libc.EpollControl(_waitSet, operation, connection.WaitDescriptor, &change);
        }
    }

    /// <summary>Places of requests, first in, first out; each at most once.</summary>
    private sealed class Places
    {
        private readonly int[] _places = new int[RequestsMax];
        private int _head;

        public int Count { get; private set; }

        public void Add(int place) => _places[(_head + Count++) % RequestsMax] = place;

        public int Take()
        {
            int place = _places[_head];
            _head = (_head + 1) % RequestsMax;
            Count--;
            return place;
        }
    }
}
