using System.Runtime.CompilerServices;

namespace Hecatonchire.Bench.Workloads;

/// <summary>
/// Threads that go to a random word of a random page at each step. A part of the steps add to the word, atomically, since
/// others may be there too; the rest read it.
/// </summary>
internal sealed unsafe class RandomWalkWorkload(IBenchMemory memory, WorkloadOptions options, PhaseProgress progress)
    : ChecksummedWorkload(memory, options, progress)
{
    private const long StepsPerReport = 2048;

    private ulong _sink;

    public override void Measure()
    {
        long steps = Options.AccessesInEffect;
        Progress.Begin("run", steps);
        Workers.Run("walk", Options.Threads, index =>
        {
            (long step, long end) = Workers.Part(steps, index, Options.Threads);
            var random = new PseudoRandom(PseudoRandom.Derive(Options.Seed, index));
            ulong delta = 0, sink = 0;
            for (; step < end; step += StepsPerReport)
            {
                long now = Math.Min(StepsPerReport, end - step);
                Walk(Words, Options.Pages, now, Options.WritePercent, ref random, ref delta, ref sink);
                Progress.Add(now);
            }

            Expect(delta);
            Interlocked.Add(ref _sink, sink);
        });
        Accesses = steps;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Walk(ulong* words, long pages, long steps, int writePercent, ref PseudoRandom random, ref ulong delta, ref ulong sink)
    {
        // 24 bits between those that choose the word and those that choose the page.
        ulong writesBelow = ((ulong)writePercent << 24) / 100;
        PseudoRandom local = random;
        ulong added = 0, read = 0;
        for (long i = 0; i < steps; i++)
        {
            ulong choice = local.Next();
            long page = (long)Math.BigMul(choice, (ulong)pages, out _);
            long word = (page * WordsPerPage) + (long)(choice & (WordsPerPage - 1));
            if (((choice >> 9) & 0xFF_FFFF) < writesBelow)
            {
                ulong change = choice | 1;
                Interlocked.Add(ref words[word], change);
                added += change * Weight(word);
            }
            else
            {
                read ^= Volatile.Read(ref words[word]);
            }
        }

        random = local;
        delta += added;
        sink ^= read;
    }
}
