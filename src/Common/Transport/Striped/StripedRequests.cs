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

    /// <summary>It waits for room.</summary>
    public bool IsQueued;

    /// <summary>The copier's, not the caller's: the cookie is its window.</summary>
    public bool IsCopy;
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
