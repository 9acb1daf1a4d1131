using System.Numerics;
using Hecatonchire.Interop;
using Hecatonchire.Pages;

namespace Hecatonchire.WriteBack;

/// <summary>
/// The pages that became resident and writable last, in that order, for the cleaner: the newest as many as can be resident, which
/// most of the time are all that are. Older ones are forgotten; a page may be in it more than once. 8 bytes per page, touched as
/// used. Grown only by <see cref="EnsureCapacity"/>, which is not on the fault path.
/// </summary>
internal sealed unsafe class ArrivalRing : IDisposable
{
    /// <summary>2 GiB of pages: what a cleaner gets done in a pause of the program is less.</summary>
    private const long CapacityMax = 1L << 19;

    private PageId* _pages;
    private long _capacity;
    private long _head;
    private long _tail;

    public bool IsEmpty => _head == _tail;

    /// <summary>Makes room for so many; a power of two is taken. What is in it is kept.</summary>
    public void EnsureCapacity(long pages)
    {
        long wanted = (long)BitOperations.RoundUpToPowerOf2((ulong)Math.Clamp(pages, 1, CapacityMax));
        if (wanted <= _capacity)
        {
            return;
        }

        var grown = (PageId*)NativeMemoryMap.Reserve((nuint)wanted * sizeof(ulong));
        long count = _tail - _head;
        for (long i = 0; i < count; i++)
        {
            grown[i] = _pages[(_head + i) & (_capacity - 1)];
        }

        Dispose();
        _pages = grown;
        (_capacity, _head, _tail) = (wanted, 0, count);
    }

    public void Push(PageId id)
    {
        if (_capacity == 0)
        {
            return;
        }

        _head += _tail - _head == _capacity ? 1 : 0;
        _pages[_tail++ & (_capacity - 1)] = id;
    }

    /// <summary>The oldest; false when there is none.</summary>
    public bool TryTake(out PageId id)
    {
        if (IsEmpty)
        {
            id = default;
            return false;
        }

        id = _pages[_head++ & (_capacity - 1)];
        return true;
    }

    public void Dispose()
    {
        if (_capacity != 0)
        {
            _ = Libc.Unmap(_pages, (nuint)_capacity * sizeof(ulong));
            _capacity = 0;
        }
    }
}
