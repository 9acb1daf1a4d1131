using System.Runtime.CompilerServices;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Workloads;

/// <summary>
/// Memory full of <see cref="FillData"/> with a checksum: the sum of its 64-bit words, each times 2i + 1, modulo 2^64. An odd weight
/// loses no bit, so one wrong word always shows, and different weights tell pages apart that have changed places.
/// </summary>
internal abstract unsafe class ChecksummedWorkload(IBenchMemory memory, WorkloadOptions options, PhaseProgress progress)
    : Workload(memory, options, progress)
{
    protected const int WordsPerPage = PageSize.Bytes / sizeof(ulong);

    /// <summary>Between two reports of progress.</summary>
    private long PagesPerStep => Options.Sparse == 1 ? 256 : 1;

    /// <summary>So much per request: progress can be shown, and the program is not held in one call for seconds.</summary>
    private const long PageOutBytes = 64L << 20;

    private ulong _expected;
    private long _mismatches;

    protected ulong* Words => (ulong*)Memory.Address;

    /// <summary>The word of a page that scan and fault look at: another one from page to page.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected static long ProbeOf(long page) => (page * WordsPerPage) + ((page * 37) & (WordsPerPage - 1));

    /// <summary>Where the words seem to start for who looks at a page: in sparse memory, pages lie apart.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    protected static ulong* WordsOf(byte* memory, long page, int sparse) => (ulong*)(memory + (page * (sparse - 1) * PageSize.Bytes));

    protected static ulong Weight(long word) => (2 * (ulong)word) + 1;

    public override void Fill() => _expected = OverAllPages("fill", FillWords);

    public override bool Verify() =>
        OverAllPages("verify", static (words, from, to, _) => SumWords(words, from, to)) == Volatile.Read(ref _expected)
        && Volatile.Read(ref _mismatches) == 0;

    /// <summary>Moves every page out, so that what is measured starts with none here.</summary>
    protected void PageOutAll()
    {
        Progress.Begin("page-out", Memory.Bytes / PageSize.Bytes);
        for (long offset = 0; offset < Memory.Bytes; offset += PageOutBytes)
        {
            long length = Math.Min(PageOutBytes, Memory.Bytes - offset);
            Memory.PageOut(offset, length);
            Progress.Add(length / PageSize.Bytes);
        }
    }

    /// <summary>The checksum that all data must have later grows by <paramref name="delta"/>, modulo 2^64.</summary>
    protected void Expect(ulong delta) => Interlocked.Add(ref _expected, delta);

    /// <summary>Words that were read and were wrong.</summary>
    protected void CountMismatches(long count) => Interlocked.Add(ref _mismatches, count);

    private ulong OverAllPages(string phase, Func<nint, long, long, ulong, ulong> body)
    {
        Progress.Begin(phase, Options.Pages);
        ulong total = 0;
        Workers.Run(phase, Options.Threads, index =>
        {
            (long page, long end) = Workers.Part(Options.Pages, index, Options.Threads);
            ulong sum = 0;
            for (; page < end; page += PagesPerStep)
            {
                long next = Math.Min(page + PagesPerStep, end);
                sum += body((nint)WordsOf(Memory.Address, page, Options.Sparse), page * WordsPerPage, next * WordsPerPage, Options.Seed);
                Progress.Add(next - page);
            }

            Interlocked.Add(ref total, sum);
        });
        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong FillWords(nint memory, long from, long to, ulong seed)
    {
        var words = (ulong*)memory;
        ulong sum = 0;
        for (long i = from; i < to; i++)
        {
            ulong value = FillData.WordAt(seed, i);
            words[i] = value;
            sum += value * ((2 * (ulong)i) + 1);
        }

        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static ulong SumWords(nint memory, long from, long to)
    {
        var words = (ulong*)memory;
        ulong sum = 0;
        for (long i = from; i < to; i++)
        {
            sum += words[i] * ((2 * (ulong)i) + 1);
        }

        return sum;
    }
}
