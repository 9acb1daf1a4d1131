using System.Runtime.CompilerServices;
using Hecatonchire.Pages;

namespace Hecatonchire.Prefetch;

/// <summary>
/// Majority trend over a thread's recent faults (Maruf and Chowdhury, "Leap", ATC'20: Boyer-Moore vote over the last
/// quarter, half and whole of the history; no majority, no prefetch), with two additions. A fault that continues a step
/// of up to <see cref="NearStride"/> pages seen twice before starts a stream at once, which finds interleaved streams that no vote
/// can see. And a stream that was found is followed by its markers: the hits feed the trend, so it does not vanish once
/// prefetch works. A window doubles each time its marker is touched, and a stream whose marker is not touched is
/// given up.
/// </summary>
internal sealed class TrendPrefetch : IPrefetchPolicy
{
    /// <summary>Faults remembered per thread; Leap's 32 halved, since streams are followed by markers instead.</summary>
    private const int History = 16;

    /// <summary>Threads remembered; the one that faulted longest ago makes place.</summary>
    private const int Threads = 64;

    /// <summary>Streams followed at once; the one touched longest ago makes place.</summary>
    private const int Streams = 64;

    /// <summary>
    /// Faults and hits after which a stream that nobody has touched is over. Until then a random page is taken for its continuation once
    /// in a while; windows of other streams in between are no longer than this.
    /// </summary>
    private const int StreamLife = 8192;

    private const int NearStride = 16;
    private const int FirstWindow = 8;

    private readonly int[] _threads = new int[Threads];
    private readonly long[] _threadClock = new long[Threads];
    private readonly int[] _seen = new int[Threads];
    private readonly ulong[] _history = new ulong[Threads * History];
    private readonly Stream[] _streams = new Stream[Streams];
    private long _clock;
    private int _live;

    private struct Stream
    {
        public int Segment;
        public int Stride;
        public int Window;
        public int Outstanding;
        public long Edge;
        public long Clock;
        public bool Live;
    }

    public long Used { get; private set; }

    public long Wasted { get; private set; }

    public PrefetchWindow OnFault(int thread, PageId page, int windowMax)
    {
        _clock++;
        int slot = FindThread(thread);
        int stream = FindStream(page);
        Remember(slot, page);
        if (stream >= 0)
        {
            return Advance(stream, page.Page, windowMax);
        }

        int stride = FindStride(slot, page);
        if (stride == 0)
        {
            return PrefetchWindow.None;
        }

        stream = ReplaceOldest();
        _live++;
        _streams[stream] = new Stream
        {
            Segment = page.Segment,
            Stride = stride,
            Window = FirstWindow / 2,
            Edge = page.Page + stride,
            Live = true,
        };
        return Advance(stream, page.Page, windowMax);
    }

    public PrefetchWindow OnHit(int stream, PageId page, int windowMax)
    {
        _clock++;
        ref Stream followed = ref _streams[stream];
        if (!followed.Live || followed.Segment != page.Segment || followed.Outstanding == 0)
        {
            return PrefetchWindow.None;
        }

        return Advance(stream, page.Page, windowMax);
    }

    public void Issued(int stream, int pages, long end)
    {
        _streams[stream].Outstanding = pages;
        _streams[stream].Edge = end;
    }

    private PrefetchWindow Advance(int index, long page, int windowMax)
    {
        ref Stream stream = ref _streams[index];
        Used += stream.Outstanding;
        stream.Outstanding = 0;
        stream.Clock = _clock;
        stream.Window = Math.Min(stream.Window * 2, Math.Max(windowMax, FirstWindow));

        // The program may have run past the edge (or over resident pages up to it): never prefetch behind it.
        long ahead = (page - stream.Edge) / stream.Stride;
        if (ahead >= 0)
        {
            stream.Edge = page + stream.Stride;
        }

        int count = Math.Min(stream.Window, windowMax);
        if (count <= 0)
        {
            return PrefetchWindow.None;
        }

        return new PrefetchWindow(stream.Edge, count, stream.Stride, index);
    }

    /// <summary>
    /// A stream that this page continues: it lies on the stride, at most two steps from the edge. Not further behind: pages
    /// there were prefetched, and on random access every page would lie in some old stream's wake.
    /// </summary>
    private int FindStream(PageId page)
    {
        for (int i = 0, left = _live; left > 0; i++)
        {
            ref Stream stream = ref _streams[i];
            if (!stream.Live)
            {
                continue;
            }

            left--;
            long distance = page.Page - stream.Edge, stride = stream.Stride;
            if (distance != 0 && distance != stride && distance != -stride && distance != 2 * stride && distance != -2 * stride)
            {
                if (_clock - stream.Clock > StreamLife)
                {
                    GiveUp(ref stream);
                }
            }
            else if (stream.Segment == page.Segment)
            {
                return i;
            }
        }

        return -1;
    }

    private void GiveUp(ref Stream stream)
    {
        Wasted += stream.Outstanding;
        stream.Outstanding = 0;
        stream.Live = false;
        _live--;
    }

    private int FindStride(int slot, PageId page)
    {
        int known = Math.Min(_seen[slot] - 1, History - 1);
        Span<ulong> recent = stackalloc ulong[History];
        for (int i = 0; i < known; i++)
        {
            recent[i] = _history[(slot * History) + ((_seen[slot] - 2 - i) % History)];
        }

        ReadOnlySpan<ulong> past = recent[..known];
        foreach (ulong earlier in past)
        {
            long delta = (long)(page.Order - earlier);
            if (delta != 0 && Math.Abs(delta) <= NearStride && past.Contains(earlier - (ulong)delta))
            {
                return (int)delta;
            }
        }

        for (int quarters = 1; quarters <= 4; quarters *= 2)
        {
            // A plain loop: a span of constants is an allocation wherever the code is not optimised (yet).
            int span = Math.Min(History * quarters / 4, History - 1);
            if (known < span)
            {
                break;
            }

            long delta = Majority(page.Order, past[..span]);
            if (delta != 0 && Math.Abs(delta) < int.MaxValue / 256)
            {
                return (int)delta;
            }
        }

        return 0;
    }

    /// <summary>Boyer-Moore vote over the steps between neighbouring faults; 0 without a majority.</summary>
    private static long Majority(ulong newest, ReadOnlySpan<ulong> past)
    {
        long candidate = 0;
        int votes = 0;
        ulong later = newest;
        foreach (ulong earlier in past)
        {
            long delta = (long)(later - earlier);
            later = earlier;
            if (votes == 0)
            {
                candidate = delta;
            }

            votes += delta == candidate ? 1 : -1;
        }

        int count = 0;
        later = newest;
        foreach (ulong earlier in past)
        {
            count += (long)(later - earlier) == candidate ? 1 : 0;
            later = earlier;
        }

        return count > past.Length / 2 ? candidate : 0;
    }

    private void Remember(int slot, PageId page)
    {
        _threadClock[slot] = _clock;
        _history[(slot * History) + (_seen[slot] % History)] = page.Order;
        _seen[slot]++;
        if (_seen[slot] == int.MaxValue - 1)
        {
            _seen[slot] = History * 2;
        }
    }

    private int FindThread(int thread)
    {
        int oldest = 0;
        for (int i = 0; i < Threads; i++)
        {
            if (_threads[i] == thread && _seen[i] > 0)
            {
                return i;
            }

            if (_threadClock[i] < _threadClock[oldest])
            {
                oldest = i;
            }
        }

        _threads[oldest] = thread;
        _seen[oldest] = 0;
        return oldest;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int ReplaceOldest()
    {
        int oldest = 0;
        for (int i = 0; i < Streams; i++)
        {
            if (!_streams[i].Live)
            {
                return i;
            }

            if (_streams[i].Clock < _streams[oldest].Clock)
            {
                oldest = i;
            }
        }

        GiveUp(ref _streams[oldest]);
        return oldest;
    }
}
