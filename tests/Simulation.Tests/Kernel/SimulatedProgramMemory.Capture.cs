using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Kernel;

/// <content>
/// Memory that the program has mapped itself and that the pager takes over later: until then pages come and go without an event, and neither the pager
/// nor its evictor may touch them.
/// </content>
internal sealed unsafe partial class SimulatedProgramMemory
{
    private readonly bool[] _unadopted;

    /// <summary>Pages that were there when their range was registered, and that the pager has not found yet.</summary>
    public int Unadopted { get; private set; }

    /// <summary>mmap by the program.</summary>
    public void MapOwn(int first, int pages) => Array.Fill(_pages, KernelPage.Own, first, pages);

    /// <summary>Memory of another userfaultfd.</summary>
    public void MapOther(int first, int pages) => Array.Fill(_pages, KernelPage.Other, first, pages);

    /// <summary>munmap of what is not the pager's.</summary>
    public void UnmapOwn(int first, int pages) => Array.Fill(_pages, KernelPage.Unmapped, first, pages);

    /// <summary>madvise(DONTNEED) of what is not the pager's.</summary>
    public void DropOwn(int first, int pages) => Array.Fill(_pages, KernelPage.Own, first, pages);

    /// <summary>
    /// mremap in place, over memory that was unmapped before: the registered mapping before it is longer now, which nobody is told.
    /// </summary>
    public void GrowOver(int first, int pages) => Array.Fill(_pages, KernelPage.Missing, first, pages);

    public bool IsOwn(int page) => _pages[page] is KernelPage.Own or KernelPage.OwnPresent;

    public bool IsRegistered(int page) =>
        page < _pages.Length && _pages[page] is not (KernelPage.Unmapped or KernelPage.Foreign or KernelPage.Own or KernelPage.OwnPresent);

    /// <summary>Where segments may lie; behind it is memory of another userfaultfd.</summary>
    public const int OtherPages = 64;

    public int Register(ulong address, long pages)
    {
        int first = PageOf(address);

        // Holes are passed over.
        for (int page = first; page < first + pages; page++)
        {
            if (_pages[page] == KernelPage.OwnPresent)
            {
                (_pages[page], _unadopted[page]) = (KernelPage.Present, true);
                InProgram++;
                Unadopted++;
            }
            else if (_pages[page] == KernelPage.Own)
            {
                _pages[page] = KernelPage.Missing;
            }
        }

        return 0;
    }

    public int FindRegistered(ulong address, long pages = 1)
    {
        if (IsChanging)
        {
            return Errno.EAGAIN;
        }

        int first = PageOf(address);
        for (int page = first; page < first + pages; page++)
        {
            if (!IsRegistered(page))
            {
                return Errno.ENOENT;
            }
        }

        return 0;
    }

    private bool IsMapped(int page) => Exists(_pages[page]) || _pages[page] is KernelPage.OwnPresent or KernelPage.Other;

    public int FindStaged(int first, int pages, Span<AddressRange> found)
    {
        int count = 0;
        for (int page = first; page < first + pages && count < found.Length; page++)
        {
            if (_stagedFrom[page] >= 0)
            {
                found[count++] = new AddressRange((ulong)page << PageSize.Shift, (ulong)(page + 1) << PageSize.Shift);
            }
        }

        return count;
    }

    public int FindPresent(ulong address, long pages, Span<AddressRange> found)
    {
        int first = PageOf(address), count = 0;
        pages = Math.Min(pages, Pages - first);
        for (int page = first; page < first + pages && count < found.Length; page++)
        {
            // Whoever's they are: the kernel tells what is mapped.
            if (!IsMapped(page))
            {
                continue;
            }

            int start = page;
            for (; page < first + pages && IsMapped(page); page++)
            {
                NoteAdopted(page);
            }

            found[count++] = new AddressRange(AddressOf(start), AddressOf(page));
        }

        return count;
    }

    public bool IsAnyRegistered(int first, int pages)
    {
        bool isAny = false;
        for (int page = first; page < first + pages; page++)
        {
            isAny |= IsRegistered(page);
        }

        return isAny;
    }

    private void NoteAdopted(int page)
    {
        Unadopted -= _unadopted[page] ? 1 : 0;
        _unadopted[page] = false;
    }
}
