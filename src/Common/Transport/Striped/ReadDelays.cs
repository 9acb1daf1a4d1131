using System.Numerics;

namespace Hecatonchire.Transport.Striped;

/// <summary>
/// How long single reads took lately, as counts in buckets an eighth of a power of two wide: a few instructions a read, nothing allocated. Every so many reads the limit that a
/// share of them kept within is taken anew, and what was counted before counts half from then on.
/// </summary>
internal sealed class ReadDelays
{
    private const int SubBits = 3;
    private const int SubMask = (1 << SubBits) - 1;

    private readonly uint[] _counts = new uint[64 << SubBits];
    private readonly double _share;
    private readonly int _window;
    private int _left;

    public ReadDelays(double share, int window) => (_share, _window, _left) = (share, window, window);

    /// <summary>In the unit of what is noted: that share of the reads took no longer, to an eighth; <see cref="long.MaxValue"/> until enough have been seen.</summary>
    public long Limit { get; private set; } = long.MaxValue;

    public void Note(long took)
    {
        _counts[Bucket(Math.Max(took, 1L << SubBits))]++;
        if (--_left == 0)
        {
            _left = _window;
            TakeLimit();
        }
    }

    private static int Bucket(long took)
    {
        int power = BitOperations.Log2((ulong)took);
        return (power << SubBits) | ((int)(took >> (power - SubBits)) & SubMask);
    }

    /// <summary>The least that is too long for a bucket.</summary>
    private static long EndOf(int bucket) => (long)((1 << SubBits) + (bucket & SubMask) + 1) << ((bucket >> SubBits) - SubBits);

    private void TakeLimit()
    {
        long total = 0;
        foreach (uint count in _counts)
        {
            total += count;
        }

        long within = (long)Math.Ceiling(total * _share), seen = 0;
        bool isFound = false;
        for (int bucket = 0; bucket < _counts.Length; bucket++)
        {
            seen += _counts[bucket];
            if (!isFound && seen >= within)
            {
                (isFound, Limit) = (true, EndOf(bucket));
            }

            _counts[bucket] >>= 1;
        }
    }
}
