using System.Runtime.CompilerServices;

namespace Hecatonchire.Bench.Workloads;

/// <summary>
/// Threads that go over their part of the memory in order, one word per page, several times. All pages are out before, as they are
/// for heca-floor: the scan pays for bringing pages in and dropping them, not for writing back what the filling left.
/// </summary>
internal sealed unsafe class ScanWorkload(IBenchMemory memory, WorkloadOptions options, PhaseProgress progress)
    : ChecksummedWorkload(memory, options, progress)
{
    private const long PagesPerReport = 4096;

    public override void Fill()
    {
        base.Fill();
        PageOutAll();
    }

    public override void Measure()
    {
        Accesses = Options.Pages * Options.Passes;
        Progress.Begin("run", Accesses);
        Workers.Run("scan", Options.Threads, index =>
        {
            (long start, long end) = Workers.Part(Options.Pages, index, Options.Threads);
            long wrong = 0;
            for (int pass = 0; pass < Options.Passes; pass++)
            {
                for (long page = start; page < end; page += PagesPerReport)
                {
                    long next = Math.Min(page + PagesPerReport, end);
                    wrong += CountWrong(Words, page, next, Options.Seed);
                    Progress.Add(next - page);
                }
            }

            CountMismatches(wrong);
        });
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static long CountWrong(ulong* words, long from, long to, ulong seed)
    {
        long wrong = 0;
        for (long page = from; page < to; page++)
        {
            long probe = ProbeOf(page);
            if (Volatile.Read(ref words[probe]) != FillData.WordAt(seed, probe))
            {
                wrong++;
            }
        }

        return wrong;
    }
}
