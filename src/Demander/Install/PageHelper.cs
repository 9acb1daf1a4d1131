using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Install;

/// <summary>
/// Does something to pages of a running program from outside, on a thread of its own: a page that the program has dropped by itself is a fault, and
/// who touches it then waits for the pager. One batch at a time; the pager thread posts it and asks for its end.
/// </summary>
internal abstract unsafe class PageHelper : IDisposable
{
    /// <summary>Waiting for a page of a program that the pager serves no more, the thread ends with the program.</summary>
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(2);

    private readonly IoVector* _pages = (IoVector*)NativeMemoryMap.Populate(4096);
    private readonly int _order = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC);
    private readonly Thread _thread;
    private int _count;
    private int _errno;
    private volatile bool _isDone;
    private volatile bool _stop;

    /// <param name="process">The program.</param>
    /// <param name="name">The thread's.</param>
    protected PageHelper(int process, string name)
    {
        Process = process;
        _thread = new Thread(Run) { Name = name, IsBackground = true };
    }

    /// <summary>Readable when a batch is done.</summary>
    public int DoneDescriptor { get; } = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);

    protected int Process { get; }

    /// <summary>Up to <see cref="PageSnapshots.PagesMax"/> addresses.</summary>
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
            Free();
            _ = Libc.Unmap(_pages, 4096);
            _ = Libc.Close(_order);
            _ = Libc.Close(DoneDescriptor);
        }
    }

    /// <summary>To be called once, when everything is made that <see cref="Work"/> needs.</summary>
    protected void Start() => _thread.Start();

    /// <summary>Carries a batch out; 0 or an errno.</summary>
    protected abstract int Work(IoVector* pages, int count);

    /// <summary>The thread has ended.</summary>
    protected virtual void Free()
    {
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

            _errno = Work(_pages, _count);
            _isDone = true;
            Signal(DoneDescriptor);
        }
    }

    private static void Signal(int descriptor)
    {
        ulong one = 1;
        _ = Libc.Write(descriptor, &one, sizeof(ulong));
    }
}
