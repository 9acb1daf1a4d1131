using Hecatonchire.Install;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Kernel;

/// <content>
/// The program's own changes of its address space, one at a time. From a change until its event is read the pager's calls and the evictor's
/// moves fail with EAGAIN. What becomes of the page's place in between, the kernel does not say: another mapping may be there already.
/// </content>
internal sealed unsafe partial class SimulatedProgramMemory
{
    private readonly Queue<FaultEvent> _changes = new(8);
    private uint _generation;
    private (int First, int Pages) _zap;
    private bool _zapIsTold;

    /// <summary>The program's changes are told.</summary>
    public bool TellsChanges { get; init; }

    /// <summary>The program stands in a system call that changes its address space, until the pager knows of it.</summary>
    public bool IsChanging => _changes.Count > 0 || _forkIsUntold;

    /// <summary>Pages that the kernel is about to drop, which the pager counts no more.</summary>
    private int Doomed => _zapIsTold ? CountExisting(_zap.First, _zap.Pages) : 0;

    /// <summary>madvise(DONTNEED) has begun: told first, dropped by <see cref="StepZap"/>.</summary>
    public void BeginRemove(int first, int pages)
    {
        (_zap, _zapIsTold) = ((first, pages), false);
        _changes.Enqueue(new FaultEvent(FaultKind.Removed, AddressOf(first), AddressOf(first + pages), 0));
    }

    /// <summary>The kernel drops the pages of a removal that was told. False while it is not.</summary>
    public bool StepZap()
    {
        if (_changes.Count > 0)
        {
            return false;
        }

        for (int page = _zap.First; page < _zap.First + _zap.Pages; page++)
        {
            Remove(page);
        }

        (_zap, _zapIsTold) = (default, false);
        return true;
    }

    /// <summary>munmap, and mmap of something else in its place: <paramref name="with"/>.</summary>
    public void Replace(int first, int pages, KernelPage with)
    {
        bool isTold = IsAnyRegistered(first, pages);
        for (int page = first; page < first + pages; page++)
        {
            Remove(page);
            _pages[page] = with;
        }

        if (isTold)
        {
            _changes.Enqueue(new FaultEvent(FaultKind.Unmapped, AddressOf(first), AddressOf(first + pages), 0));
        }
    }

    /// <summary>
    /// mremap over another range, and mmap of <paramref name="with"/> in the old place. The target was unmapped before; where
    /// <paramref name="isTargetLate"/>, by another thread, which tells of it after all.
    /// </summary>
    public void Remap(int first, int pages, int target, KernelPage with, bool isTargetLate)
    {
        var unmapped = new FaultEvent(FaultKind.Unmapped, AddressOf(target), AddressOf(target + pages), 0);
        bool isTold = IsAnyRegistered(target, pages);
        if (isTold && !isTargetLate)
        {
            _changes.Enqueue(unmapped);
        }

        _changes.Enqueue(new FaultEvent(FaultKind.Remapped, AddressOf(first), AddressOf(first + pages), AddressOf(target)));
        for (int i = 0; i < pages; i++)
        {
            Remove(target + i);
            (_pages[target + i], _unadopted[target + i], _isShared[target + i]) = (_pages[first + i], _unadopted[first + i], _isShared[first + i]);
            Buffer.MemoryCopy(Data(first + i), Data(target + i), PageSize.Bytes, PageSize.Bytes);
            InProgram += Exists(_pages[target + i]) ? 1 : 0;
            Unadopted += _unadopted[target + i] ? 1 : 0;
        }

        Replace(first, pages, with);
        if (isTold && isTargetLate)
        {
            _changes.Enqueue(unmapped);
        }
    }

    /// <summary>The foreign mapping is given up, and a new one of the pager's is made in its place.</summary>
    public void Reclaim(int first, int pages) => Array.Fill(_pages, KernelPage.Missing, first, pages);

    private int ReadChanges(Span<FaultEvent> events)
    {
        int count = 0;
        while (count < events.Length && _changes.TryPeek(out FaultEvent change) && _random.Next(2) == 0)
        {
            events[count++] = _changes.Dequeue();
            _generation += change.Kind == FaultKind.Removed ? 0u : 1u;
            _zapIsTold |= change.Kind == FaultKind.Removed;
        }

        return count;
    }

    private int CountExisting(int first, int pages)
    {
        int count = 0;
        for (int page = first; page < first + pages; page++)
        {
            count += Exists(_pages[page]) ? 1 : 0;
        }

        return count;
    }
}
