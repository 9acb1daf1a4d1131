using System.Numerics;
using System.Runtime.CompilerServices;
using Hecatonchire.Units;

namespace Hecatonchire.Transport.Striped;

/// <summary>
/// A checksum of a page, to find what the way to a sponsor and back, or its memory, has changed: CRC32C (RFC 3720) in four lanes, which a processor computes side by side. Any change of up
/// to 32 adjacent bits of a lane is found, any other with a chance of 1 - 2^-32. It is no seal: who wants to forge a page can.
/// </summary>
internal static unsafe class PageSum
{
    private const int Words = PageSize.Bytes / sizeof(ulong);
    private const int LaneWords = Words / 4;

    /// <summary>Never 0, which stands for a page whose sum is not known.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static uint Of(byte* page)
    {
        ulong* words = (ulong*)page;
        uint a = uint.MaxValue, b = uint.MaxValue, c = uint.MaxValue, d = uint.MaxValue;
        for (int i = 0; i < LaneWords; i++)
        {
            a = BitOperations.Crc32C(a, words[i]);
            b = BitOperations.Crc32C(b, words[i + LaneWords]);
            c = BitOperations.Crc32C(c, words[i + (2 * LaneWords)]);
            d = BitOperations.Crc32C(d, words[i + (3 * LaneWords)]);
        }

        uint sum = BitOperations.Crc32C(BitOperations.Crc32C(uint.MaxValue, ((ulong)a << 32) | b), ((ulong)c << 32) | d);
        return sum == 0 ? 1 : sum;
    }
}
