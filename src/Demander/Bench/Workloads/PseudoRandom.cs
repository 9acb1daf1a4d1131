using System.Runtime.CompilerServices;

namespace Hecatonchire.Bench.Workloads;

/// <summary>SplitMix64: a stream from a seed, and the value at any place of it without the values before.</summary>
internal struct PseudoRandom(ulong seed)
{
    private const ulong Gamma = 0x9E37_79B9_7F4A_7C15;

    private ulong _state = seed;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Next() => Mix(_state += Gamma);

    /// <summary>Uniform from 0 to <paramref name="bound"/> - 1, but for a bias below bound / 2^64.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long Below(long bound) => (long)Math.BigMul(Next(), (ulong)bound, out _);

    /// <summary>The 64-bit word number <paramref name="index"/> of the data that <paramref name="seed"/> gives.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong At(ulong seed, long index) => Mix(seed + (((ulong)index + 1) * Gamma));

    /// <summary>A seed of its own for each of several streams.</summary>
    public static ulong Derive(ulong seed, int stream) => Mix(seed ^ Mix((ulong)stream + 0x5851_F42D_4C95_7F2D));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58_476D_1CE4_E5B9;
        z = (z ^ (z >> 27)) * 0x94D0_49BB_1331_11EB;
        return z ^ (z >> 31);
    }
}
