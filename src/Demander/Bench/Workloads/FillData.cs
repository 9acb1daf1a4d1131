using System.Runtime.CompilerServices;

namespace Hecatonchire.Bench.Workloads;

/// <summary>
/// What benchmarks fill memory with: pseudo-random 64-bit words of which some repeat others, so that a page compresses to about
/// 1.4:1 as data of programs may. Words that no compressor gains from would be stored as they are by compressed swap, and zeros in
/// no space at all: neither says what it costs. Any word is known from the seed and its place alone.
/// </summary>
internal static class FillData
{
    /// <summary>In words; divides a page, so that every page compresses alike.</summary>
    private const int GroupWords = 32;

    /// <summary>The last words of a group repeat its first: 32 words in the space of 22 and what says so.</summary>
    private const int RepeatFrom = 22;

    /// <summary>The word number <paramref name="word"/> of the data that <paramref name="seed"/> gives.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong WordAt(ulong seed, long word) =>
        PseudoRandom.At(seed, (word & (GroupWords - 1)) < RepeatFrom ? word : word - RepeatFrom);
}
