using System.Numerics;
using System.Runtime.CompilerServices;

namespace Hecatonchire.Metrics;

/// <summary>
/// A latency histogram of one writer: log-linear buckets (32 per power of two: at most 3.2 % wide), nanoseconds from 0
/// to about 18 minutes. <see cref="Record"/> costs a few instructions and never allocates; readers may copy it at any
/// time and see each bucket at some recent value.
/// </summary>
internal sealed class LatencyHistogram
{
    private const int SubBits = 5;
    private const int SubBuckets = 1 << SubBits;
    private const int Magnitudes = 36;

    private readonly long[] _buckets = new long[Magnitudes * SubBuckets];
    private long _count;
    private long _sum;
    private long _max;

    public long Count => Volatile.Read(ref _count);

    /// <summary>Sum of all recorded values, nanoseconds.</summary>
    public long Sum => Volatile.Read(ref _sum);

    public long Max => Volatile.Read(ref _max);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Record(long nanoseconds)
    {
        nanoseconds = Math.Clamp(nanoseconds, 0, (1L << 40) - 1);
        _buckets[IndexOf(nanoseconds)]++;
        _count++;
        _sum += nanoseconds;
        if (nanoseconds > _max)
        {
            _max = nanoseconds;
        }
    }

    /// <summary>The value below which <paramref name="fraction"/> (0 to 1) of the records lie, nanoseconds; 0 when empty.</summary>
    public long Percentile(double fraction)
    {
        long rank = Math.Max(1, (long)Math.Ceiling(fraction * _count));
        long seen = 0;
        for (int i = 0; i < _buckets.Length; i++)
        {
            seen += _buckets[i];
            if (seen >= rank)
            {
                return Math.Min(UpperBound(i), _max);
            }
        }

        return _max;
    }

    /// <summary>
    /// Tells a histogram of another make what this one has got since it was <paramref name="earlier"/>: for each bucket a value inside it, in
    /// nanoseconds, and how many records. The values are placed so that with <paramref name="earlierSum"/>, what was told until then, they add
    /// up to <see cref="Sum"/>.
    /// </summary>
    public void Replay(LatencyHistogram earlier, double earlierSum, Action<double, long> observe)
    {
        double least = 0, room = 0;
        for (int i = 0; i < _buckets.Length; i++)
        {
            long records = Math.Max(0, _buckets[i] - earlier._buckets[i]);
            least += (double)LowerBound(i) * records;
            room += (double)(UpperBound(i) - LowerBound(i)) * records;
        }

        // The sum was read a moment after the buckets: it may be ahead of them.
        double place = room == 0 ? 0 : Math.Clamp((_sum - earlierSum - least) / room, 0, 1);
        for (int i = 0; i < _buckets.Length; i++)
        {
            if (_buckets[i] > earlier._buckets[i])
            {
                observe(LowerBound(i) + (place * (UpperBound(i) - LowerBound(i))), _buckets[i] - earlier._buckets[i]);
            }
        }
    }

    public void CopyTo(LatencyHistogram target)
    {
        Array.Copy(_buckets, target._buckets, _buckets.Length);
        target._count = Volatile.Read(ref _count);
        target._sum = Volatile.Read(ref _sum);
        target._max = Volatile.Read(ref _max);
    }

    /// <summary>Adds <paramref name="other"/> to this one.</summary>
    public void Add(LatencyHistogram other)
    {
        for (int i = 0; i < _buckets.Length; i++)
        {
            _buckets[i] += other._buckets[i];
        }

        _count += other._count;
        _sum += other._sum;
        _max = Math.Max(_max, other._max);
    }

    /// <summary>What this one has got since it was <paramref name="earlier"/>; as largest value it has one of its own bucket.</summary>
    public LatencyHistogram Since(LatencyHistogram earlier)
    {
        var since = new LatencyHistogram();
        for (int i = 0; i < _buckets.Length; i++)
        {
            since._buckets[i] = Math.Max(0, _buckets[i] - earlier._buckets[i]);
            since._count += since._buckets[i];
            since._max = since._buckets[i] > 0 ? Math.Min(UpperBound(i), _max) : since._max;
        }

        since._sum = Math.Max(0, _sum - earlier._sum);
        return since;
    }

    /// <summary>Count, sum, maximum and the buckets up to the last that holds a record, for another process; see <see cref="FromValues"/>.</summary>
    public long[] ToValues()
    {
        int used = Array.FindLastIndex(_buckets, bucket => bucket != 0) + 1;
        return [Count, Sum, Max, .. _buckets.AsSpan(0, used)];
    }

    /// <summary>What <see cref="ToValues"/> gave; null for what it never gives.</summary>
    public static LatencyHistogram? FromValues(ReadOnlySpan<long> values)
    {
        var histogram = new LatencyHistogram();
        if (values.Length < 3 || values.Length - 3 > histogram._buckets.Length)
        {
            return null;
        }

        (histogram._count, histogram._sum, histogram._max) = (values[0], values[1], values[2]);
        values[3..].CopyTo(histogram._buckets);
        return histogram;
    }

    public void Clear()
    {
        Array.Clear(_buckets);
        _count = 0;
        _sum = 0;
        _max = 0;
    }

    private static int IndexOf(long value)
    {
        int magnitude = BitOperations.Log2((ulong)value | 1);
        if (magnitude < SubBits)
        {
            return (int)value;
        }

        int shift = magnitude - SubBits;
        return ((shift + 1) << SubBits) + (int)((value >> shift) & (SubBuckets - 1));
    }

    private static long LowerBound(int index) => index == 0 ? 0 : UpperBound(index - 1) + 1;

    private static long UpperBound(int index)
    {
        if (index < SubBuckets)
        {
            return index;
        }

        int shift = (index >> SubBits) - 1;
        return (((long)(SubBuckets + (index & (SubBuckets - 1)) + 1)) << shift) - 1;
    }
}
