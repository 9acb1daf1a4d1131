using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Hecatonchire.Interop;
using Hecatonchire.Metrics;

namespace Hecatonchire.Bench.Workloads;

/// <summary>
/// One thread that touches pages that are out, in random order, none twice: every touch is a hard fault, measured alone. A
/// sponsor has all pages before; under swap those that are here, asked right before each touch, are passed over.
/// </summary>
internal sealed unsafe class FaultWorkload(IBenchMemory memory, WorkloadOptions options, PhaseProgress progress)
    : ChecksummedWorkload(memory, options, progress)
{
    /// <summary>Sockets, caches and branch prediction settle; these touches are not measured. As in heca-floor.</summary>
    private const int WarmUpTouches = 200;

    private const long TouchesPerReport = 1024;

    private readonly LatencyHistogram _touches = new();
    private readonly int[] _order = RandomOrder(options.Pages, options.Seed);
    private readonly long[] _times = options.TouchesFile is null ? [] : new long[2 * options.AccessesInEffect];

    public override LatencyHistogram Touches => _touches;

    public override void Fill()
    {
        base.Fill();
        PageOutAll();
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
            long wrong = 0;
            int warmUp = Math.Min(WarmUpTouches, _order.Length - touches);
            Touch(Memory, Options.Sparse, _order.AsSpan(_order.Length - warmUp), warmUp, Options.Seed, _touches, [], ref wrong);
            _touches.Clear();
            ReadOnlySpan<int> pages = _order.AsSpan(0, _order.Length - warmUp);
            while (_touches.Count < touches && pages.Length > 0)
            {
                long before = _touches.Count;
                long now = Math.Min(TouchesPerReport, touches - before);
                Span<long> times = _times.Length == 0 ? [] : _times.AsSpan((int)(2 * before), (int)(2 * now));
                pages = pages[Touch(Memory, Options.Sparse, pages, now, Options.Seed, _touches, times, ref wrong)..];
                Progress.Add(_touches.Count - before);
            }

            CountMismatches(wrong);
        });
        Accesses = _touches.Count;
        if (Options.TouchesFile is { } file)
        {
            File.WriteAllBytes(file, MemoryMarshal.AsBytes(_times.AsSpan(0, (int)(2 * Accesses))));
        }
    }

    /// <summary>Touches up to <paramref name="touches"/> of the pages; returns how many of them are done with, passed over or touched.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Touch(IBenchMemory memory, int sparse, ReadOnlySpan<int> pages, long touches, ulong seed, LatencyHistogram latencies, Span<long> times, ref long wrong)
    {
        int next = 0;
        int at = 0;
        while (next < pages.Length && touches > 0)
        {
            long page = pages[next++];
            if (memory.IsHereUnasked(page * sparse * Units.PageSize.Bytes))
            {
                continue;
            }

            touches--;
            long probe = ProbeOf(page);
            ulong* words = WordsOf(memory.Address, page, sparse);
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

        return next;
    }

    private static int[] RandomOrder(long pages, ulong seed)
    {
        int[] order = new int[pages];
        for (int i = 0; i < order.Length; i++)
        {
            order[i] = i;
        }

        var random = new PseudoRandom(PseudoRandom.Derive(seed, 0));
        for (int i = 0; i < order.Length; i++)
        {
            int other = i + (int)random.Below(pages - i);
            (order[i], order[other]) = (order[other], order[i]);
        }

        return order;
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
