// A big array in sponsored memory, used from several threads while the garbage collector runs all the time.
// heca run --local 16MiB -- SumSample [NUMBERS]. Prints "ok".

using System.Globalization;
using Hecatonchire;

long length = args.Length > 0 ? long.Parse(args[0], CultureInfo.InvariantCulture) : 8L << 20;
using var stop = new CancellationTokenSource();
var collector = new Thread(() => CollectUntil(stop.Token)) { Name = "collector" };
collector.Start();
try
{
    Run(length);
    Console.WriteLine("ok");
    return 0;
}
catch (SponsoredMemoryException e)
{
    Console.Error.WriteLine($"SumSample: {e.Message}");
    return 1;
}
finally
{
    stop.Cancel();
    collector.Join();
}

static void Run(long length)
{
    using SponsoredMemory<long> numbers = SponsoredMemory<long>.Allocate(length, reserve: 4 * length);
    int threads = Math.Max(2, Environment.ProcessorCount);

    // Each thread fills a part through spans: one bounds check per window, not per element.
    numbers.Advise(0, length, SponsoredMemoryAdvice.Sequential);
    Parallel.For(0, threads, part => Fill(numbers, length * part / threads, length * (part + 1) / threads));
    Check(Sum(numbers, length), SumTo(length), "the sum after filling");

    // And back again, scattered: every access may be a fault.
    numbers.Advise(0, length, SponsoredMemoryAdvice.Random);
    numbers.Advise(0, length, SponsoredMemoryAdvice.PageOut);
    Parallel.For(0, threads, part =>
    {
        var random = new Random(part);
        for (int i = 0; i < 10_000; i++)
        {
            long index = random.NextInt64(length);
            Check(numbers[index], index, "a scattered element");
        }
    });

    numbers.Resize(2 * length);
    Check(numbers[2 * length - 1], 0, "a new element");
    Fill(numbers, length, 2 * length);
    Check(Sum(numbers, 2 * length), SumTo(2 * length), "the sum after growing");

    long half = length / 2;
    numbers.Resize(half);
    Check(Sum(numbers, half), SumTo(half), "the sum after shrinking");
    numbers.Advise(0, half, SponsoredMemoryAdvice.DontNeed);
    Check(SponsoredMemoryStatistics.Read().SegmentBytes >= half * sizeof(long) ? 1 : 0, 1, "the allocated bytes");
}

static void Fill(SponsoredMemory<long> numbers, long start, long end)
{
    const int Window = 64 << 10;
    for (long at = start; at < end; at += Window)
    {
        Span<long> window = numbers.Slice(at, (int)Math.Min(Window, end - at));
        for (int i = 0; i < window.Length; i++)
        {
            window[i] = at + i;
        }
    }
}

static long Sum(SponsoredMemory<long> numbers, long length)
{
    long sum = 0;
    for (long i = 0; i < length; i++)
    {
        sum += numbers[i];
    }

    return sum;
}

static long SumTo(long length) => length % 2 == 0 ? length / 2 * (length - 1) : (length - 1) / 2 * length;

static void Check(long found, long expected, string what)
{
    if (found != expected)
    {
        throw new InvalidOperationException($"{what} is {found}, not {expected}");
    }
}

// A thread stopped in a fault holds a collection up; were the pager in this process, that would be for ever.
static void CollectUntil(CancellationToken stop)
{
    var garbage = new object?[1024];
    for (int i = 0; !stop.IsCancellationRequested; i++)
    {
        garbage[i % garbage.Length] = new byte[1024];
        if (i % 1024 == 0)
        {
            GC.Collect(i % 8192 == 0 ? 2 : 0);
        }
    }
}
