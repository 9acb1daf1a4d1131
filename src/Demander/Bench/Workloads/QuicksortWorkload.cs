using System.Runtime.CompilerServices;

namespace Hecatonchire.Bench.Workloads;

/// <summary>Sorts memory full of 32-bit integers; right when they are in order and their sum and xor are those of the fill.</summary>
internal sealed unsafe class QuicksortWorkload(IBenchMemory memory, WorkloadOptions options, PhaseProgress progress)
    : Workload(memory, options, progress)
{
    private const long ValuesPerStep = 1 << 18;

    private readonly Lock _gate = new();
    private Digest _filled;

    /// <param name="Sum">Of all values, modulo 2^64.</param>
    /// <param name="Xor">Of all values.</param>
    /// <param name="Ordered">No value is less than the one before it.</param>
    private readonly record struct Digest(long Sum, int Xor, bool Ordered)
    {
        public Digest With(Digest other) => new(Sum + other.Sum, Xor ^ other.Xor, Ordered && other.Ordered);
    }

    private long Count => Memory.Bytes / sizeof(int);

    private int* Values => (int*)Memory.Address;

    public override void Fill() => _filled = OverAll("fill", FillValues);

    public override void Measure()
    {
        Progress.Begin("run", Count);
        Accesses = ParallelQuicksort.Sort(Values, Count, Options.Threads, Progress);
    }

    public override bool Verify() => OverAll("verify", static (values, from, to, _) => Look(values, from, to)) == _filled;

    private Digest OverAll(string phase, Func<nint, long, long, ulong, Digest> body)
    {
        Progress.Begin(phase, Count);
        var total = new Digest(0, 0, true);
        Workers.Run(phase, Options.Threads, index =>
        {
            (long at, long end) = Workers.Part(Count, index, Options.Threads);
            var part = new Digest(0, 0, true);
            for (; at < end; at += ValuesPerStep)
            {
                long next = Math.Min(at + ValuesPerStep, end);
                part = part.With(body((nint)Values, at, next, Options.Seed));
                Progress.Add(next - at);
            }

            lock (_gate)
            {
                total = total.With(part);
            }
        });
        return total;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Digest FillValues(nint memory, long from, long to, ulong seed)
    {
        var values = (int*)memory;
        long sum = 0;
        int xor = 0;
        for (long i = from; i < to; i++)
        {
            int value = (int)(PseudoRandom.At(seed, i) >> 32);
            values[i] = value;
            sum += value;
            xor ^= value;
        }

        return new Digest(sum, xor, true);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static Digest Look(nint memory, long from, long to)
    {
        var values = (int*)memory;
        long sum = 0;
        int xor = 0;

        // From the last value of the part before, so that no border between two parts goes unseen.
        int before = from == 0 ? int.MinValue : values[from - 1];
        bool ordered = true;
        for (long i = from; i < to; i++)
        {
            int value = values[i];
            sum += value;
            xor ^= value;
            ordered &= before <= value;
            before = value;
        }

        return new Digest(sum, xor, ordered);
    }
}
