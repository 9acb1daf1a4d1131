using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Hecatonchire.Interop;
using Hecatonchire.Metrics;

namespace Hecatonchire.Bench.Workloads;

/// <summary>
/// One thread that touches pages in random order, none twice, after all have been moved to the sponsor: every touch is a hard
/// fault, measured alone.
/// </summary>
internal sealed unsafe class FaultWorkload(IBenchMemory memory, WorkloadOptions options, PhaseProgress progress)
    : ChecksummedWorkload(memory, options, progress)
{
    /// <summary>So much per request: progress can be shown, and the program is not held in one call for seconds.</summary>
    private const long PageOutBytes = 64L << 20;

    /// <summary>Sockets, caches and branch prediction settle; these touches are not measured. As in heca-floor.</summary>
    private const int WarmUpTouches = 200;

    private const long TouchesPerReport = 1024;

    private readonly LatencyHistogram _touches = new();
    private int[] _order = [];
    private long[] _times = [];

    public override LatencyHistogram Touches => _touches;

    public override void Fill()
    {
        base.Fill();
        long touches = Options.AccessesInEffect;
        _order = RandomOrder(Options.Pages, touches + Math.Min(WarmUpTouches, Options.Pages - touches), Options.Seed);
        _times = Options.TouchesFile is null ? [] : new long[2 * touches];
        Progress.Begin("page-out", Options.Pages);
        for (long offset = 0; offset < Memory.Bytes; offset += PageOutBytes)
        {
            long length = Math.Min(PageOutBytes, Memory.Bytes - offset);
            Memory.PageOut(offset, length);
            Progress.Add(length / Units.PageSize.Bytes);
        }
    }

    public override void Measure()
    {
        int touches = (int)Options.AccessesInEffect;
        Progress.Begin("run", touches);
        Workers.Run("touch", 1, _ =>
        {
            if (Options.Pin)
            {
                PinToFirstCore();
            }

            // Also without pages to spare: the call makes the runtime compile the method before the first measured touch.
            long wrong = Touch(Words, _order.AsSpan(touches), Options.Seed, _touches, []);
            _touches.Clear();
            Span<long> times = _times;
            for (int done = 0; done < touches; done += (int)TouchesPerReport)
            {
                int now = (int)Math.Min(TouchesPerReport, touches - done);
                wrong += Touch(Words, _order.AsSpan(done, now), Options.Seed, _touches, times.IsEmpty ? [] : times.Slice(2 * done, 2 * now));
                Progress.Add(now);
            }

            CountMismatches(wrong);
        });
        Accesses = touches;
        if (Options.TouchesFile is { } file)
        {
            File.WriteAllBytes(file, MemoryMarshal.AsBytes<long>(_times));
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Touch(ulong* words, ReadOnlySpan<int> pages, ulong seed, LatencyHistogram latencies, Span<long> times)
    {
        long wrong = 0;
        int at = 0;
        foreach (int page in pages)
        {
            long probe = ProbeOf(page);
            long start = Stopwatch.GetTimestamp();
            ulong value = Volatile.Read(ref words[probe]);
            long end = Stopwatch.GetTimestamp();
            latencies.Record((end - start) * 1_000_000_000 / Stopwatch.Frequency);
            if (at < times.Length)
            {
                times[at++] = start;
                times[at++] = end;
            }

            if (value != FillData.WordAt(seed, probe))
            {
                wrong++;
            }
        }

        return wrong;
    }

    /// <summary>The first <paramref name="count"/> of a random order of all pages.</summary>
    private static int[] RandomOrder(long pages, long count, ulong seed)
    {
        int[] order = new int[pages];
        for (int i = 0; i < order.Length; i++)
        {
            order[i] = i;
        }

        var random = new PseudoRandom(PseudoRandom.Derive(seed, 0));
        for (int i = 0; i < count; i++)
        {
            int other = i + (int)random.Below(pages - i);
            (order[i], order[other]) = (order[other], order[i]);
        }

        return order.AsSpan(0, (int)count).ToArray();
    }

    /// <summary>Core 0, or the first that this process may use.</summary>
    private static void PinToFirstCore()
    {
        const int maskWords = 16;
        ulong* mask = stackalloc ulong[maskWords];
        new Span<ulong>(mask, maskWords).Clear();
        if (Libc.GetAffinity(0, maskWords * sizeof(ulong), mask) < 0)
        {
            throw new IOException($"sched_getaffinity: {Errno.Describe(Libc.Errno)}");
        }

        var words = new Span<ulong>(mask, maskWords);
        int first = words.IndexOfAnyExcept(0UL);
        ulong bit = 1UL << BitOperations.TrailingZeroCount(words[first]);
        words.Clear();
        words[first] = bit;
        if (Libc.SetAffinity(0, maskWords * sizeof(ulong), mask) < 0)
        {
            throw new IOException($"sched_setaffinity: {Errno.Describe(Libc.Errno)}");
        }
    }
}
