using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Striped;

/// <summary>When a single read is asked of a second replica, and how often that may be.</summary>
internal sealed record Hedging
{
    /// <summary>One that takes longer than this share of the reads before it is.</summary>
    public double Share { get; init; } = 0.99;

    /// <summary>Of so many single reads one at most, about 3 %, so that sponsors that are all slow do not get twice the work.</summary>
    public int ReadsPerHedge { get; init; } = 32;

    /// <summary>After so many reads the limit is taken anew.</summary>
    public int Window { get; init; } = 512;
}

/// <summary>
/// What a reading <see cref="StripedConnection"/> needs to ask a second replica where the first is late (the tied requests of Dean and Barroso, The Tail at Scale, without the
/// cancelling). The first answer may still land when the second has been told, and a device cannot be called back: so such reads land in pages that are the connection's own,
/// one for each request, which go to whoever reads by name and are used again only once they were given back, or the late answer has come. All memory is had at construction.
/// </summary>
internal sealed unsafe class ReadHedges : IDisposable
{
    /// <summary>1.5 MiB: a page for each demand read a pager has in flight, those that are asked twice, and those that are late.</summary>
    public const int Pages = 384;

    /// <summary>What may be saved up: a sponsor that stops has so many reads asked again at once.</summary>
    private const int HedgesSavedMax = 8;

    private const int None = -1;
    private const int NotWatched = -2;

    private readonly int _readsPerHedge;
    private readonly int[] _free = new int[Pages];
    private readonly int[] _older = new int[StripedRequests.Max];
    private readonly int[] _newer = new int[StripedRequests.Max];
    private int _freeCount = Pages;
    private int _oldest = None;
    private int _newest = None;
    private int _credit;
    private long _hedged;
    private long _won;

    public ReadHedges(Hedging hedging)
    {
        _readsPerHedge = hedging.ReadsPerHedge;
        Delays = new ReadDelays(hedging.Share, hedging.Window);
        Memory = NativeMemoryMap.Populate(Bytes);
        for (int i = 0; i < Pages; i++)
        {
            _free[i] = i;
        }

        Array.Fill(_newer, NotWatched);
    }

    public static nuint Bytes => (nuint)Pages << PageSize.Shift;

    public byte* Memory { get; }

    /// <summary>By the stopwatch.</summary>
    public ReadDelays Delays { get; }

    /// <summary>Reads that were asked of a second replica; any thread may ask.</summary>
    public long Hedged => Volatile.Read(ref _hedged);

    /// <summary>Those of them that the second answered first.</summary>
    public long Won => Volatile.Read(ref _won);

    /// <summary>True while a read is watched that may be asked twice.</summary>
    public bool IsWatching => _oldest != None && _credit >= _readsPerHedge;

    /// <summary>The place of the read that is longest in flight of those that are watched; there is one.</summary>
    public int Oldest => _oldest;

    /// <summary>A page for a read to land in; null when none is free.</summary>
    public byte* TakePage() => _freeCount == 0 ? null : Memory + ((nint)_free[--_freeCount] << PageSize.Shift);

    /// <summary>Nothing lands there any more, and nobody reads it.</summary>
    public void ReturnPage(byte* page) => _free[_freeCount++] = (int)((page - Memory) >> PageSize.Shift);

    /// <summary>A read was posted.</summary>
    public void NoteRead() => _credit = Math.Min(_credit + 1, HedgesSavedMax * _readsPerHedge);

    public void NoteHedged()
    {
        _credit -= _readsPerHedge;
        Volatile.Write(ref _hedged, _hedged + 1);
    }

    public void NoteWon() => Volatile.Write(ref _won, _won + 1);

    /// <summary>The read at that place was posted now.</summary>
    public void Watch(int place)
    {
        Unwatch(place);
        (_older[place], _newer[place]) = (_newest, None);
        if (_newest != None)
        {
            _newer[_newest] = place;
        }
        else
        {
            _oldest = place;
        }

        _newest = place;
    }

    /// <summary>It has ended, or is not to be asked twice (any more).</summary>
    public void Unwatch(int place)
    {
        if (_newer[place] == NotWatched)
        {
            return;
        }

        (int older, int newer) = (_older[place], _newer[place]);
        _newer[place] = NotWatched;
        if (older != None)
        {
            _newer[older] = newer;
        }
        else
        {
            _oldest = newer;
        }

        if (newer != None)
        {
            _older[newer] = older;
        }
        else
        {
            _newest = older;
        }
    }

    public void Dispose() => _ = Libc.Unmap(Memory, Bytes);
}
