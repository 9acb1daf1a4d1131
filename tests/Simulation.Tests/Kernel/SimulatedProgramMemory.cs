using System.Runtime.InteropServices;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Kernel;

/// <summary>
/// A program's memory under the kernel's userfaultfd rules, one arena of pages at <see cref="Base"/>. A fault stops its
/// thread until its page is woken; a woken thread only tries again. Nothing here allocates after construction. The
/// evictor is in the other file.
/// </summary>
internal sealed unsafe partial class SimulatedProgramMemory : IProgramMemory, IDisposable
{
    public const ulong Base = 0x7000_0000_0000;

    private readonly byte* _memory;
    private readonly KernelPage[] _pages;
    private readonly bool[] _protected;
    private readonly Random _random;
    private readonly int _threads;

    // A thread waits for at most one page: its index here is its number.
    private readonly int[] _waitPage;
    private readonly FaultKind[] _waitKind;

    // Threads whose event has not been read, in the order of their faults.
    private readonly int[] _pending;
    private int _pendingCount;

    public SimulatedProgramMemory(int pages, int stagingPages, int threads, bool takeCopies, int seed)
    {
        _memory = (byte*)NativeMemory.AllocZeroed((nuint)pages << PageSize.Shift);
        _stagingMemory = (byte*)NativeMemory.AllocZeroed((nuint)stagingPages << PageSize.Shift);
        _pages = new KernelPage[pages];
        _protected = new bool[pages];
        _random = new Random(seed);
        _threads = threads;
        // Two more than the program has: who copies pages for the cleaner, and who makes shared pages the program's alone.
        _waitPage = new int[threads + 2];
        Array.Fill(_waitPage, -1);
        _waitKind = new FaultKind[threads + 2];
        _pending = new int[threads + 2];
        _isShared = new bool[pages];
        TakeCopies = takeCopies;
        _unadopted = new bool[pages];
        _stagedFrom = new int[stagingPages];
        Array.Fill(_stagedFrom, -1);
    }

    public bool TakeCopies { get; }

    public bool CanProtect { get; init; } = true;

    public int Pages => _pages.Length;

    /// <summary>Pages that exist now, in segments and in staging.</summary>
    public int InProgram { get; private set; }

    /// <summary>What the pager has counted as in the program: it must be ahead of what really is, at every moment.</summary>
    public Func<long> Counted { get; set; } = () => long.MaxValue;

    /// <summary>Chance per million that a wake-up is forgotten: for the test that a lost wake-up is noticed.</summary>
    public int LostWakesPerMillion { get; init; }

    public KernelPage this[int page] => _pages[page];

    public static ulong AddressOf(int page) => Base + ((ulong)page << PageSize.Shift);

    public byte* Data(int page) => _memory + ((nint)page << PageSize.Shift);

    public bool IsWaiting(int thread) => _waitPage[thread] >= 0;

    public string Describe(int thread) => $"thread {thread} waits for page {_waitPage[thread]} ({_waitKind[thread]}), kernel has it {_pages[_waitPage[thread]]}";

    public int WaitPage(int thread) => _waitPage[thread];

    /// <summary>Makes pages part of a segment (mmap and UFFDIO_REGISTER).</summary>
    public void Register(int first, int pages) => Array.Fill(_pages, KernelPage.Missing, first, pages);

    /// <summary>UFFDIO_UNREGISTER and munmap: who waits there is woken and finds nothing.</summary>
    public void Unregister(int first, int pages)
    {
        for (int page = first; page < first + pages; page++)
        {
            Remove(page);
            _pages[page] = KernelPage.Unmapped;
        }

        WakeRange(first, pages, mayBeLost: false);
    }

    /// <summary>madvise(DONTNEED) by the program itself, behind the pager's back.</summary>
    public void DropByProgram(int page)
    {
        if (_pages[page] != KernelPage.Unmapped)
        {
            Remove(page);
        }
    }

    /// <summary>An access: what the processor and the kernel make of it.</summary>
    public Touch Access(int thread, int page, bool isWrite)
    {
        switch (_pages[page])
        {
            case KernelPage.Unmapped:
                return Touch.Segv;
            case KernelPage.Foreign when thread >= _threads:
                return Touch.Done;
            case KernelPage.Foreign:
                throw new SimulationException($"thread {thread} touches page {page}, which it has given up");
            case KernelPage.Own:
                NativeMemory.Clear(Data(page), PageSize.Bytes);
                _pages[page] = KernelPage.OwnPresent;
                return Touch.Done;
            case KernelPage.OwnPresent:
                return Touch.Done;
            case KernelPage.Poisoned:
                return Touch.Bus;
            case KernelPage.Missing:
                Stop(thread, page, isWrite ? FaultKind.Write : FaultKind.Read);
                return Touch.Stopped;
        }

        if (isWrite && _protected[page])
        {
            Stop(thread, page, FaultKind.WriteProtected);
            return Touch.Stopped;
        }

        if (isWrite)
        {
            _isShared[page] = false;

            // Of the shared zero page a copy on write, without an event.
            _pages[page] = KernelPage.Present;
        }

        return Touch.Done;
    }

    public void ForgetFaults()
    {
    }

    public int ReadFaults(Span<FaultEvent> faults)
    {
        int read = ReadPageFaults(faults);
        return read + ReadChanges(faults[read..]);
    }

    private int ReadPageFaults(Span<FaultEvent> faults)
    {
        int count = Math.Min(faults.Length, _pendingCount == 0 ? 0 : _random.Next(_pendingCount + 1));
        for (int i = 0; i < count; i++)
        {
            int thread = _pending[i];
            faults[i] = new FaultEvent(AddressOf(_waitPage[thread]), _waitKind[thread], thread + 1);
        }

        _pendingCount -= count;
        Array.Copy(_pending, count, _pending, 0, _pendingCount);
        return count;
    }

    public int Copy(ulong address, byte* source, int pages, CopyMode mode, out int copied)
    {
        int first = PageOf(address);
        copied = 0;
        if (IsChanging)
        {
            return Errno.EAGAIN;
        }

        int errno = 0;
        for (; copied < pages; copied++)
        {
            int page = first + copied;
            if (page < _pages.Length && _pages[page] == KernelPage.Other)
            {
                throw new SimulationException($"page {page}, of another userfaultfd, is filled");
            }

            if (page >= _pages.Length || _pages[page] != KernelPage.Missing)
            {
                errno = ErrnoOf(page);
                break;
            }

            Buffer.MemoryCopy(source + ((nint)copied << PageSize.Shift), Data(page), PageSize.Bytes, PageSize.Bytes);
            Install(page, KernelPage.Present);
            _protected[page] = (mode & CopyMode.WriteProtect) != 0;
        }

        if ((mode & CopyMode.LeaveAsleep) == 0)
        {
            WakeRange(first, copied, mayBeLost: true);
        }

        return errno;
    }

    public int ZeroPage(ulong address)
    {
        int page = PageOf(address);
        if (IsChanging || _pages[page] != KernelPage.Missing)
        {
            return ErrnoOf(page);
        }

        NativeMemory.Clear(Data(page), PageSize.Bytes);
        Install(page, KernelPage.Zero);
        WakeRange(page, 1, mayBeLost: true);
        return 0;
    }

    public int Poison(ulong address)
    {
        int page = PageOf(address);
        if (IsChanging || _pages[page] != KernelPage.Missing)
        {
            return ErrnoOf(page);
        }

        _pages[page] = KernelPage.Poisoned;
        WakeRange(page, 1, mayBeLost: true);
        return 0;
    }

    public int Wake(ulong address, long pages)
    {
        WakeRange(PageOf(address), (int)pages, mayBeLost: true);
        return 0;
    }

    public int Unprotect(ulong address, int pages)
    {
        int page = PageOf(address);
        Array.Fill(_protected, false, page, pages);
        WakeRange(page, pages, mayBeLost: true);
        return 0;
    }

    public void Dispose()
    {
        NativeMemory.Free(_memory);
        NativeMemory.Free(_snapshots);
        NativeMemory.Free(_stagingMemory);
    }

    private static int PageOf(ulong address) => (int)((address - Base) >> PageSize.Shift);

    private int ErrnoOf(int page) => IsChanging ? Errno.EAGAIN
        : IsRegistered(page) ? Errno.EEXIST : Errno.ENOENT;

    private static bool Exists(KernelPage page) => page is KernelPage.Zero or KernelPage.Present;

    private void Install(int page, KernelPage what)
    {
        _pages[page] = what;
        _protected[page] = false;
        InProgram++;
        long counted = Counted();
        if (InProgram - Doomed - Unadopted > counted)
        {
            throw new SimulationException($"page {page} was installed as number {InProgram}, the pager has counted {counted}");
        }
    }

    private void Remove(int page)
    {
        _isShared[page] = false;
        InProgram -= Exists(_pages[page]) ? 1 : 0;
        NoteAdopted(page);
        _pages[page] = KernelPage.Missing;
        _protected[page] = false;
    }

    private void Stop(int thread, int page, FaultKind kind)
    {
        (_waitPage[thread], _waitKind[thread]) = (page, kind);
        _pending[_pendingCount++] = thread;
    }

    private void WakeRange(int first, int pages, bool mayBeLost)
    {
        for (int thread = 0; thread < _waitPage.Length; thread++)
        {
            if (_waitPage[thread] >= first && _waitPage[thread] < first + pages
                && !(mayBeLost && LostWakesPerMillion > 0 && _random.Next(1_000_000) < LostWakesPerMillion))
            {
                _waitPage[thread] = -1;
                int at = Array.IndexOf(_pending, thread, 0, _pendingCount);
                if (at >= 0)
                {
                    // A thread that is woken takes its unread event with it.
                    _pendingCount--;
                    Array.Copy(_pending, at + 1, _pending, at, _pendingCount - at);
                }
            }
        }
    }
}
