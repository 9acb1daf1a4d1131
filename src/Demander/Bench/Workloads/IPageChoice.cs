using System.Numerics;
using System.Runtime.CompilerServices;

namespace Hecatonchire.Bench.Workloads;

/// <summary>Which page a random walk goes to next. Structs, so that the walk's loop is compiled with the choice in it.</summary>
internal interface IPageChoice
{
    /// <summary>A page for 64 random bits. Its lowest 33 bits choose what happens there and may matter only a little.</summary>
    long PageFor(ulong bits);
}

/// <summary>Every page as often as every other.</summary>
internal readonly struct UniformPages(long pages) : IPageChoice
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long PageFor(ulong bits) => (long)Math.BigMul(bits, (ulong)pages, out _);
}

/// <summary>
/// The page of rank r as often as 1 / (r + 1)^theta says, with the ranks scattered over the memory (the scrambled zipfian generator of
/// YCSB; the inverse of the distribution is approximated as in Gray et al., Quickly Generating Billion-Record Synthetic
/// Databases, SIGMOD 1994). Unlike YCSB's hash, the scattering gives each rank a page of its own.
/// </summary>
internal readonly struct ZipfPages : IPageChoice
{
    private const double UnitOf53Bits = 1.0 / (1L << 53);

    private readonly long _pages;
    private readonly double _alpha;
    private readonly double _zeta;
    private readonly double _second;
    private readonly double _eta;
    private readonly int _bits;

    /// <param name="pages">At least 1.</param>
    /// <param name="theta">Above 0 and below 1: the higher, the more the first ranks have.</param>
    public ZipfPages(long pages, double theta)
    {
        _pages = pages;
        _alpha = 1 / (1 - theta);
        _zeta = Zeta(pages, theta);
        _second = 1 + Math.Pow(0.5, theta);
        _eta = (1 - Math.Pow(2.0 / pages, 1 - theta)) / (1 - (_second / _zeta));
        _bits = Math.Max(2, 64 - BitOperations.LeadingZeroCount((ulong)(pages - 1)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public long PageFor(ulong bits) => PageOfRank(RankFor((bits >> 11) * UnitOf53Bits));

    /// <summary>For <paramref name="unit"/> uniform from 0 to below 1; 0 is the most frequent.</summary>
    internal long RankFor(double unit)
    {
        double share = unit * _zeta;
        return share < 1 || _pages == 1 ? 0
            : share < _second || _pages == 2 ? 1
            : Math.Min(_pages - 1, (long)(_pages * Math.Pow((_eta * unit) - _eta + 1, _alpha)));
    }

    /// <summary>
    /// A permutation of the pages: one of the next power of two, applied again and again until it hits a page. Each of its steps can be
    /// undone, so no two ranks share a page.
    /// </summary>
    internal long PageOfRank(long rank)
    {
        ulong mask = (1UL << _bits) - 1, page = (ulong)rank;
        int half = (_bits + 1) / 2;
        do
        {
            page = (page + 0x9E37_79B9) & mask;
            page = (page * 0xBF58_476D_1CE4_E5B9) & mask;
            page ^= page >> half;
            page = (page * 0x94D0_49BB_1331_11EB) & mask;
            page ^= page >> half;
        }
        while (page >= (ulong)_pages);
        return (long)page;
    }

    private static double Zeta(long pages, double theta)
    {
        double sum = 0;
        for (long rank = 1; rank <= pages; rank++)
        {
            sum += Math.Pow(rank, -theta);
        }

        return sum;
    }
}
