using Hecatonchire.Interop;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Install;

/// <summary>
/// Copies pages out of a running program, on a thread of its own: a page that the program has dropped by itself is a fault, and
/// who copies it then waits for the pager. One batch at a time; the pager thread posts it and asks for its end.
/// </summary>
internal sealed unsafe class PageSnapshots : IDisposable
{
    public const int PagesMax = 64;

    /// <summary>Waiting for a page of a program that the pager serves no more, the thread ends with the program.</summary>
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(2);

    private readonly int _process;
    private readonly PageHash _hash;
    private readonly ulong[] _hashes = new ulong[PagesMax];
    private readonly IoVector* _pages = (IoVector*)NativeMemoryMap.Populate(4096);
    private readonly int _order = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC);
    private readonly Thread _thread;
    private int _count;
    private int _errno;
    private volatile bool _isDone;
    private volatile bool _stop;

    /// <param name="process">The program.</param>
    /// <param name="hash">What its evictor hashes with.</param>
    public PageSnapshots(int process, PageHash hash)
    {
        (_process, _hash) = (process, hash);
        _thread = new Thread(Run) { Name = "heca-cleaner", IsBackground = true };
        _thread.Start();
    }

    /// <summary>The copies, in the order of the addresses.</summary>
    public byte* Data { get; } = NativeMemoryMap.Populate(PagesMax << PageSize.Shift);

    /// <summary>Readable when a batch is done.</summary>
    public int DoneDescriptor { get; } = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);

    public ulong Hash(int index) => _hashes[index];

    public void Post(ReadOnlySpan<ulong> addresses)
    {
        _count = addresses.Length;
        for (int i = 0; i < addresses.Length; i++)
        {
            _pages[i] = new IoVector((void*)addresses[i], PageSize.Bytes);
        }

        _isDone = false;
        Signal(_order);
    }

    /// <summary>True when the batch is done; with an errno, nothing of it counts.</summary>
    public bool IsDone(out int errno)
    {
        errno = _isDone ? _errno : 0;
        return _isDone;
    }

    public void Dispose()
    {
        _stop = true;
        Signal(_order);
        if (_thread.Join(EndPatience))
        {
            _ = Libc.Unmap(Data, PagesMax << PageSize.Shift);
            _ = Libc.Unmap(_pages, 4096);
            _ = Libc.Close(_order);
            _ = Libc.Close(DoneDescriptor);
        }
    }

    private void Run()
    {
        while (true)
        {
            ulong count;
            _ = Libc.Read(_order, &count, sizeof(ulong));
            if (_stop)
            {
                return;
            }

            _errno = Copy();
            _isDone = true;
            Signal(DoneDescriptor);
        }
    }

    private int Copy()
    {
        nuint length = (nuint)_count << PageSize.Shift;
        var local = new IoVector(Data, length);
        nint got = Libc.ReadProcessMemory(_process, &local, 1, _pages, (nuint)_count, 0);
        if (got != (nint)length)
        {
            return got < 0 ? Libc.Errno : Errno.EFAULT;
        }

        for (int i = 0; i < _count; i++)
        {
            _hashes[i] = _hash.Compute(Data + ((nint)i << PageSize.Shift));
        }

        return 0;
    }

    private static void Signal(int descriptor)
    {
        ulong one = 1;
        _ = Libc.Write(descriptor, &one, sizeof(ulong));
    }
}
