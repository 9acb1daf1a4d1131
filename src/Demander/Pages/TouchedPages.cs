using System.Numerics;
using Hecatonchire.Interop;

namespace Hecatonchire.Pages;

/// <summary>
/// In which groups of pages of a segment an entry was ever other than blank: a bit for the entries that share a page of the page table. What a segment of any size has is found
/// by these in a time that goes by what was touched; to look at the entries themselves would give memory to all of them. Used by the pager thread only.
/// </summary>
internal sealed unsafe class TouchedPages : IDisposable
{
    /// <summary>Entries in a page of memory: 2 MiB of the program's.</summary>
    public const int GroupPages = Units.PageSize.Bytes / sizeof(ulong);

    private const int GroupShift = 9;

    private ulong* _words;
    private nuint _mapped;

    /// <summary>An entry of the page is about to be other than blank.</summary>
    public void Add(long page) => _words[page >> (GroupShift + 6)] |= 1UL << (int)((page >> GroupShift) & 63);

    public bool Has(long page) => (_words[page >> (GroupShift + 6)] & (1UL << (int)((page >> GroupShift) & 63))) != 0;

    /// <summary>The first page from <paramref name="page"/> on that is in a touched group; <paramref name="end"/> when there is none before it.</summary>
    public long Next(long page, long end)
    {
        if (page >= end || Has(page))
        {
            return Math.Min(page, end);
        }

        return NextGroup(((page >> GroupShift) + 1) << GroupShift, end);
    }

    /// <summary>The first page of the first touched group from <paramref name="first"/> on, which is the first of a group; <paramref name="end"/> or more when there is none before it.</summary>
    public long NextGroup(long first, long end)
    {
        // Capacity of tables can be more than there are bits for: nothing was touched there.
        long bits = (long)_mapped * 8;
        for (long group = first >> GroupShift, last = Math.Min((end - 1) >> GroupShift, bits - 1); group <= last;)
        {
            ulong word = _words[group >> 6] >> (int)(group & 63);
            if (word != 0)
            {
                return Math.Min(end, (group + BitOperations.TrailingZeroCount(word)) << GroupShift);
            }

            group = (group | 63) + 1;
        }

        return end;
    }

    /// <summary>The pages from here on are blank.</summary>
    public void Clear(long firstPage, long end)
    {
        for (long group = (firstPage + GroupPages - 1) >> GroupShift; group <= (end - 1) >> GroupShift; group++)
        {
            _words[group >> 6] &= ~(1UL << (int)(group & 63));
        }
    }

    /// <summary>Has room for so many pages. Throws <see cref="InsufficientMemoryException"/>.</summary>
    public void EnsureCapacity(long pages)
    {
        nuint bytes = (nuint)((pages >> (GroupShift + 6)) + 1) * sizeof(ulong);
        if (bytes > _mapped)
        {
            bytes = (bytes + Units.PageSize.Bytes - 1) & ~(nuint)(Units.PageSize.Bytes - 1);
            var words = (ulong*)NativeMemoryMap.Reserve(bytes);
            Buffer.MemoryCopy(_words, words, bytes, _mapped);
            Dispose();
            _words = words;
            _mapped = bytes;
        }
    }

    public void Dispose()
    {
        if (_mapped != 0)
        {
            _ = Libc.Unmap(_words, _mapped);
            _words = null;
            _mapped = 0;
        }
    }
}
