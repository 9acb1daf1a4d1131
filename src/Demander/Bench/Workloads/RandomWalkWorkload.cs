using System.Runtime.CompilerServices;

namespace Hecatonchire.Bench.Workloads;

/// <summary>
/// Threads that go to a random word of a random page at each step, uniform or zipf-distributed. A part of the steps add to the word, atomically, since
/// others may be there too; the rest read it. Additions go to words at odd places and reads to those at even places, which keep
/// what the fill left there: so every read is checked at once, and a page that shows an older version for a moment is caught
/// even where the final checksum finds everything in place again.
/// </summary>
internal sealed unsafe class RandomWalkWorkload<TPages>(IBenchMemory memory, WorkloadOptions options, PhaseProgress progress, TPages pages)
    : ChecksummedWorkload(memory, options, progress)
    where TPages : struct, IPageChoice
{
    private const long StepsPerReport = 2048;

    public override void Measure()
    {
        long steps = Options.AccessesInEffect;
        Progress.Begin("run", steps);
        Workers.Run("walk", Options.Threads, index =>
        {
            (long step, long end) = Workers.Part(steps, index, Options.Threads);
            var random = new PseudoRandom(PseudoRandom.Derive(Options.Seed, index));
            ulong delta = 0;
            long wrong = 0;
            for (; step < end; step += StepsPerReport)
            {
                long now = Math.Min(StepsPerReport, end - step);
                wrong += Walk(Words, Options, pages, now, ref random, ref delta);
                Progress.Add(now);
            }

            Expect(delta);
            CountMismatches(wrong);
        });
        Accesses = steps;
    }

    /// <summary>Returns how many reads were wrong.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long Walk(ulong* words, WorkloadOptions options, TPages pages, long steps, ref PseudoRandom random, ref ulong delta)
    {
        // 24 bits between those that choose the word and those that choose the page.
        ulong writesBelow = ((ulong)options.WritePercent << 24) / 100;
        ulong seed = options.Seed;
        PseudoRandom local = random;
        ulong added = 0;
        long wrong = 0;
        for (long i = 0; i < steps; i++)
        {
            ulong choice = local.Next();
            long page = pages.PageFor(choice);
            long word = (page * WordsPerPage) + (long)(choice & (WordsPerPage - 1));
            if (((choice >> 9) & 0xFF_FFFF) < writesBelow)
            {
                word |= 1;
                ulong change = choice | 1;
                Interlocked.Add(ref words[word], change);
                added += change * Weight(word);
            }
            else
            {
                word &= ~1L;
                if (Volatile.Read(ref words[word]) != FillData.WordAt(seed, word))
                {
                    wrong++;
                }
            }
        }

        random = local;
        delta += added;
        return wrong;
    }
}
