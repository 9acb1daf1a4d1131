namespace Hecatonchire.Transport.Striped;

/// <summary>A request of a <see cref="StripedConnection"/> until its end is told.</summary>
internal unsafe struct StripedRequest
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

    /// <summary>The place + 1 of the other READ that asks for the same; 0: none. Both are in flight then, on one sponsor each.</summary>
    public int Twin;

    /// <summary>The one of the two that was posted because the other was late.</summary>
    public bool IsHedge;

    /// <summary>Its twin was answered: nobody waits for it, but it is in flight.</summary>
    public bool IsAbandoned;

    /// <summary>Its buffer is a page of <see cref="ReadHedges"/>, not the caller's.</summary>
    public bool IsApart;

    /// <summary>Of a WRITE: its buffer is a run of the sealer's, not the caller's.</summary>
    public bool IsSealed;

    /// <summary>It waits for room.</summary>
    public bool IsQueued;

    /// <summary>Only of the sponsor that it was posted to; of no other when that one's answer is wrong.</summary>
    public bool IsDirected;

    /// <summary>Who made it.</summary>
    public StripedOwner Owner;

    /// <summary>The connection's own, not the caller's: the cookie is the owner's number for it.</summary>
    public readonly bool IsOwn => Owner != StripedOwner.Caller;
}

/// <summary>Who makes requests of a <see cref="StripedConnection"/>, and is told their ends.</summary>
internal enum StripedOwner : byte
{
    Caller,

    /// <summary><see cref="StripeCopier"/>.</summary>
    Copier,

    /// <summary><see cref="StripeRepair"/>.</summary>
    Repair,
}

/// <summary>The places of the requests of a connection, all had at construction; a sponsor's connection knows each request by its place.</summary>
internal sealed class StripedRequests
{
    public const int Max = 512;

    private readonly StripedRequest[] _requests = new StripedRequest[Max];
    private readonly int[] _free = new int[Max];

    public StripedRequests()
    {
        for (int i = 0; i < Max; i++)
        {
            _free[i] = Max - 1 - i;
        }
    }

    public ref StripedRequest this[int place] => ref _requests[place];

    /// <summary>All places; one that is free has no pages.</summary>
    public Span<StripedRequest> All => _requests;

    public int FreeCount { get; private set; } = Max;

    /// <summary>The place that the next <see cref="Take"/> takes; there must be a free one.</summary>
    public int Next => _free[FreeCount - 1];

    public void Take() => FreeCount--;

    public void Release(int place)
    {
        _requests[place] = default;
        _free[FreeCount++] = place;
    }
}

/// <summary>Places of requests, first in, first out; each at most once.</summary>
internal sealed class StripedQueue
{
    private readonly int[] _places = new int[StripedRequests.Max];
    private int _head;

    public int Count { get; private set; }

    public void Add(int place) => _places[(_head + Count++) % StripedRequests.Max] = place;

    public int Take()
    {
        int place = _places[_head];
        _head = (_head + 1) % StripedRequests.Max;
        Count--;
        return place;
    }
}
