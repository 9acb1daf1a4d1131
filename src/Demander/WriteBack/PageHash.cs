using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using System.Security.Cryptography;
using Hecatonchire.Units;

namespace Hecatonchire.WriteBack;

/// <summary>
/// A keyed 64-bit hash of a page, of XXH3's long-input construction (Y. Collet): eight 64-bit lanes, each adding the product
/// of the two halves of (data xor key) and, to its neighbour, the data itself; scrambled every 1 KiB. Two different
/// versions of a page share a hash with a chance of 2^-64; the key is random per session, so a program cannot make
/// it happen. This is how a page is known to be clean: its hash in staging equals that of the version in its slot.
/// </summary>
internal sealed unsafe class PageHash
{
    private const int StripeBytes = 64;
    private const int StripesPerBlock = 16;
    private const ulong PrimeMix = 0x9E3779B185EBCA87;
    private const ulong PrimeScramble = 0x9E3779B1;

    private readonly ulong[] _key;

    public PageHash()
        : this(RandomNumberGenerator.GetBytes(KeyWords * sizeof(ulong)))
    {
    }

    /// <summary>A hash with a given key of <see cref="KeyWords"/> * 8 bytes: another pager's, or a test's that must repeat.</summary>
    public PageHash(ReadOnlySpan<byte> key)
    {
        _key = GC.AllocateArray<ulong>(KeyWords, pinned: true);
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, ulong>(key)[..KeyWords].CopyTo(_key);
    }

    /// <summary>16 stripes each start one word further into the key, as in XXH3.</summary>
    public const int KeyWords = StripesPerBlock + 8;

    /// <summary>True when all 4096 bytes are zero.</summary>
    public static bool IsZero(byte* page) => new ReadOnlySpan<ulong>(page, PageSize.Bytes / sizeof(ulong)).IndexOfAnyExcept(0UL) < 0;

    /// <summary>The key, for the evictor (native/app/page_hash.c), which computes the same function.</summary>
    public ReadOnlySpan<ulong> Key => _key;

    public ulong Compute(byte* page) => Avx2.IsSupported ? ComputeVector(page) : ComputeScalar(page);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private ulong ComputeVector(byte* page)
    {
        fixed (ulong* key = _key)
        {
            Vector256<ulong> low = Vector256.Load(key), high = Vector256.Load(key + 4);
            Vector256<uint> prime = Vector256.Create(PrimeScramble).AsUInt32();
            for (int block = 0; block < PageSize.Bytes / (StripeBytes * StripesPerBlock); block++)
            {
                for (int stripe = 0; stripe < StripesPerBlock; stripe++)
                {
                    low = Accumulate(low, Vector256.Load((ulong*)page), Vector256.Load(key + stripe));
                    high = Accumulate(high, Vector256.Load((ulong*)(page + 32)), Vector256.Load(key + stripe + 4));
                    page += StripeBytes;
                }

                low = Scramble(low, Vector256.Load(key + StripesPerBlock), prime);
                high = Scramble(high, Vector256.Load(key + StripesPerBlock + 4), prime);
            }

            return Merge(low, high, key);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Accumulate(Vector256<ulong> sum, Vector256<ulong> data, Vector256<ulong> key)
    {
        Vector256<ulong> keyed = data ^ key;
        Vector256<ulong> product = Avx2.Multiply(keyed.AsUInt32(), Vector256.ShiftRightLogical(keyed, 32).AsUInt32());
        Vector256<ulong> swapped = Avx2.Shuffle(data.AsUInt32(), 0b01_00_11_10).AsUInt64();
        return sum + product + swapped;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<ulong> Scramble(Vector256<ulong> sum, Vector256<ulong> key, Vector256<uint> prime)
    {
        Vector256<ulong> mixed = sum ^ Vector256.ShiftRightLogical(sum, 47) ^ key;
        Vector256<ulong> lowProduct = Avx2.Multiply(mixed.AsUInt32(), prime);
        Vector256<ulong> highProduct = Avx2.Multiply(Vector256.ShiftRightLogical(mixed, 32).AsUInt32(), prime);
        return lowProduct + Vector256.ShiftLeft(highProduct, 32);
    }

    private static ulong Merge(Vector256<ulong> low, Vector256<ulong> high, ulong* key)
    {
        ulong* lanes = stackalloc ulong[8];
        low.Store(lanes);
        high.Store(lanes + 4);
        return Merge(lanes, key);
    }

    private static ulong Merge(ulong* lanes, ulong* key)
    {
        ulong hash = unchecked(PageSize.Bytes * PrimeMix);
        for (int i = 0; i < 8; i += 2)
        {
            ulong upper = Math.BigMul(lanes[i] ^ key[i + 1], lanes[i + 1] ^ key[i + 2], out ulong lower);
            hash += upper ^ lower;
        }

        hash ^= hash >> 37;
        hash *= 0x165667919E3779F9;
        return hash ^ (hash >> 32);
    }

    /// <summary>The same function one lane at a time; also what the vector form is tested against.</summary>
    internal ulong ComputeScalar(byte* page)
    {
        ulong* lanes = stackalloc ulong[8];
        fixed (ulong* key = _key)
        {
            for (int i = 0; i < 8; i++)
            {
                lanes[i] = key[i];
            }

            var words = (ulong*)page;
            for (int block = 0; block < PageSize.Bytes / (StripeBytes * StripesPerBlock); block++)
            {
                for (int stripe = 0; stripe < StripesPerBlock; stripe++, words += 8)
                {
                    for (int i = 0; i < 8; i++)
                    {
                        ulong keyed = words[i] ^ key[stripe + i];
                        lanes[i] += (keyed & 0xFFFFFFFF) * (keyed >> 32);
                        lanes[i ^ 1] += words[i];
                    }
                }

                for (int i = 0; i < 8; i++)
                {
                    ulong mixed = lanes[i] ^ (lanes[i] >> 47) ^ key[StripesPerBlock + i];
                    lanes[i] = ((mixed & 0xFFFFFFFF) * PrimeScramble) + (((mixed >> 32) * PrimeScramble) << 32);
                }
            }

            return Merge(lanes, key);
        }
    }
}
