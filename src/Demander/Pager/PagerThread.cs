using Hecatonchire.Handover;
using Hecatonchire.Interop;
using Hecatonchire.Pressure;
using Hecatonchire.Transport;

namespace Hecatonchire.Pager;

/// <summary>
/// The thread that drives a <see cref="PagerCore"/>: it spins while an answer is due within microseconds, and sleeps in epoll
/// otherwise, so that an idle pager uses no CPU. Everything that can end the sleep is a descriptor: faults, evictor
/// completions, both connections, requests, memory pressure.
/// </summary>
internal sealed unsafe class PagerThread : IDisposable
{
    /// <summary>
    /// Rounds without progress before the pager sleeps: longer than a round trip to the evictor or the sponsor and than several
    /// threads take to their next fault (about 50 us; waking it across cores costs 20 to 30), shorter than is worth a core.
    /// </summary>
    private const int IdleRoundsBusy = 100;

    /// <summary>Rounds a demand fetch is waited for spinning, about 5 ms: beyond that the sponsor is not spinning either.</summary>
    private const int IdleRoundsDemand = 10_000;

    /// <summary>About 20 us, twice what a fetch takes when the sponsor runs: yielding from the first round on costs each fault 2 us.</summary>
    private const int RoundsBeforeYield = 32;

    /// <summary>
    /// The longest sleep while pages are on their way out. Nobody waits for them, so that the evictor's answers are worth no wake-up
    /// each: faults come first, and find them.
    /// </summary>
    private const int SleepMsEvicting = 1;

    /// <summary>A program that has not faulted for this long is computing: its pages are cleaned meanwhile.</summary>
    private const int QuietMs = 10;

    /// <summary>The longest sleep: how stale the published pressure may get on an idle program.</summary>
    private const int SleepMsMax = 1000;

    /// <summary>
    /// Within this of the cgroup's limit the usage is read anew every <see cref="FaultsPerRefresh"/> faults (1.1 us each), and whenever so
    /// much has come: a fault of a new page fills 64 at once.
    /// </summary>
    private const long RefreshBelowBytes = 8L << 20;

    private const long FaultsPerRefresh = 64;
    private const long GrowthPerRefreshBytes = 1L << 20;

    private readonly PagerCore _core;
    private readonly CommandRing _ring;
    private readonly IDataConnection _reader;
    private readonly IDataConnection _writer;
    private readonly PressureMonitor? _pressure;
    private readonly CorePlacement? _placement;
    private readonly int _completionsEvent;
    private readonly int _socket;
    private readonly int _wake = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
    private readonly int _epoll = Libc.EpollCreate(Libc.EPOLL_CLOEXEC);
    private readonly EpollEvent[] _ready = GC.AllocateArray<EpollEvent>(8, pinned: true);
    private readonly Thread _thread;
    private readonly bool _spin;
    private readonly Lock _execution = new();
    private long _refreshedAt;
    private long _refreshedResident;
    private Watched _watchedReader;
    private Watched _watchedWriter;
    private volatile bool _stop;

    /// <summary>What epoll was told of a connection.</summary>
    private record struct Watched(int Descriptor, uint Events);

    public PagerThread(PagerCore core, CommandRing ring, int uffd, int completionsEvent, int socket, IDataConnection reader,
        IDataConnection writer, PressureMonitor? pressure, CorePlacement? placement, bool spin)
    {
        (_core, _ring, _reader, _writer, _pressure) = (core, ring, reader, writer, pressure);
        (_completionsEvent, _socket, _placement, _spin) = (completionsEvent, socket, placement, spin);
        Watch(uffd, Libc.EPOLLIN, Libc.EPOLL_CTL_ADD);
        Watch(completionsEvent, Libc.EPOLLIN, Libc.EPOLL_CTL_ADD);
        Watch(_wake, Libc.EPOLLIN, Libc.EPOLL_CTL_ADD);

        // Its end only. The thread that reads it may be waiting here, for an evictor that is gone with the program.
        Watch(socket, Libc.EPOLLRDHUP, Libc.EPOLL_CTL_ADD);
        Rewatch(reader, ref _watchedReader);
        Rewatch(writer, ref _watchedWriter);
        if (pressure is not null)
        {
            Watch(pressure.WaitDescriptor, Libc.EPOLLIN, Libc.EPOLL_CTL_ADD);
        }

        _thread = new Thread(Run) { Name = "heca-pager", IsBackground = true, Priority = ThreadPriority.Highest };
    }

    /// <summary>Called on the pager thread once a program must be stopped for want of UFFDIO_POISON.</summary>
    public Action? OnMustStopProgram { get; init; }

    /// <summary>Readable when a batch of pages to clean is copied; -1: there is no cleaning.</summary>
    public int SnapshotDone
    {
        get;
        init
        {
            field = value;
            if (value >= 0)
            {
                Watch(value, Libc.EPOLLIN, Libc.EPOLL_CTL_ADD);
            }
        }
    } = -1;

    /// <summary>Bytes the pager thread allocated so far; written by it, for the test that this stays 0.</summary>
    public long AllocatedBytes;

    public void Start() => _thread.Start();

    /// <summary>Gives a request to the pager thread and waits for its end; others wait their turn.</summary>
    public void Execute(PagerRequest request)
    {
        lock (_execution)
        {
            ExecuteAlone(request);
        }
    }

    private void ExecuteAlone(PagerRequest request)
    {
        _core.Post(request);
        Wake();
        while (!request.Done.Wait(TimeSpan.FromSeconds(1)))
        {
            if (!_thread.IsAlive)
            {
                request.Status = -Errno.ESRCH;
                return;
            }
        }
    }

    public void Dispose()
    {
        _stop = true;
        Wake();
        if (_thread.ThreadState != ThreadState.Unstarted)
        {
            _thread.Join();
        }

        _ = Libc.Close(_wake);
        _ = Libc.Close(_epoll);
    }

    private void Wake()
    {
        ulong one = 1;
        _ = Libc.Write(_wake, &one, sizeof(ulong));
    }

    private void Run()
    {
        try
        {
            Loop();
        }
        catch (Exception e)
        {
            // The program's threads wait for this one: going on without it would be a silent hang.
            Environment.FailFast("the pager thread ended by an exception: " + e.Message, e);
        }
    }

    private void Loop()
    {
        int idleRounds = 0;
        bool stopTold = false;
        _core.CheckConnections = true;
        while (!_stop)
        {
            ApplyPressure();
            bool sharesCore = _placement?.Follow(_core.LastFaultThread, _core.Counters) == true;
            bool progress = _core.RunOnce();
            _core.CheckConnections = false;
            if (_ring.IsBroken)
            {
                _core.NoteBrokenRing();
            }

            if (_core.MustStopProgram && !stopTold)
            {
                stopTold = true;
                OnMustStopProgram?.Invoke();
            }

            AllocatedBytes = GC.GetAllocatedBytesForCurrentThread();
            if (_core.ProgramGone)
            {
                SleepUntilStopped();
                return;
            }

            // With nothing on its way here, another look could only delay the program where it shares this core: epoll
            // returns at once if there is more.
            idleRounds = progress ? 0 : idleRounds + 1;
            bool sleeps = sharesCore && !_core.IsFetching && !_core.IsEvictorAwaited;
            if (progress && !sleeps)
            {
                continue;
            }

            if (_spin && !sleeps && idleRounds < (_core.IsDemandInFlight ? IdleRoundsDemand : IdleRoundsBusy))
            {
                if (_core.IsDemandInFlight)
                {
                    _reader.Spin();
                }

                // Later than usual: who is waited for, the sponsor or the evictor, may be waiting for this core.
                if (idleRounds > RoundsBeforeYield)
                {
                    _ = Libc.Yield();
                }

                continue;
            }

            Sleep();
            _core.CheckConnections = true;
            idleRounds = 0;
        }
    }

    private void ApplyPressure()
    {
        if (_pressure is not null)
        {
            long resident = _core.InProgramBytes;
            long allowed = _pressure.AllowedResidentBytes(resident);
            if (allowed - resident < RefreshBelowBytes
                && (_core.Counters.Faults - _refreshedAt >= FaultsPerRefresh || resident - _refreshedResident >= GrowthPerRefreshBytes))
            {
                // Close to the limit the program's own growth must be seen before the next notification.
                _refreshedAt = _core.Counters.Faults;
                _refreshedResident = resident;
                _ = _pressure.Refresh(resident);
                allowed = _pressure.AllowedResidentBytes(resident);
            }

            _core.LimitByPressure(allowed);
        }
    }

    private void Sleep()
    {
        Rewatch(_reader, ref _watchedReader);
        Rewatch(_writer, ref _watchedWriter);
        bool wakesByEvictor = _core.IsEvictorAwaited || !_core.IsEvicting;
        if (!_reader.PrepareToWait() || !_writer.PrepareToWait() || (wakesByEvictor && !_ring.TrySleep()))
        {
            return;
        }

        fixed (EpollEvent* ready = _ready)
        {
            int longest = !wakesByEvictor ? SleepMsEvicting : _core.MayClean ? QuietMs : SleepMsMax;
            int count = Libc.EpollWait(_epoll, ready, _ready.Length, longest);
            if (count == 0 && longest == QuietMs)
            {
                _core.NoteQuiet();
            }

            _core.Trace?.NoteAwake();
            _ring.WakeUp();
            for (int i = 0; i < count; i++)
            {
                int descriptor = (int)ready[i].Data;
                if (descriptor == _wake || descriptor == _completionsEvent || descriptor == SnapshotDone)
                {
                    ulong drained;
                    _ = Libc.Read(descriptor, &drained, sizeof(ulong));
                }
                else if (descriptor == _socket)
                {
                    _core.NoteProgramGone();
                }
                else if (_pressure is not null && descriptor == _pressure.WaitDescriptor)
                {
                    _pressure.Acknowledge();
                    _ = _pressure.Refresh(_core.InProgramBytes);
                }
            }
        }
    }

    private void SleepUntilStopped()
    {
        while (!_stop)
        {
            var descriptor = new PollDescriptor { Descriptor = _wake, Events = Libc.POLLIN };
            if (Libc.Poll(&descriptor, 1, SleepMsMax) > 0)
            {
                ulong drained;
                _ = Libc.Read(_wake, &drained, sizeof(ulong));
            }

            // Requests still end, with the status that says why.
            _ = _core.RunOnce();
        }
    }

    private void Rewatch(IDataConnection connection, ref Watched watched)
    {
        Watched wanted = connection.IsBroken ? default : new Watched(connection.WaitDescriptor, connection.WaitEvents);
        if (wanted == watched)
        {
            return;
        }

        if (wanted.Descriptor == watched.Descriptor)
        {
            Watch(wanted.Descriptor, wanted.Events, Libc.EPOLL_CTL_MOD);
        }
        else
        {
            // One that was closed meanwhile has left by itself.
            if (watched.Events != 0)
            {
                Watch(watched.Descriptor, 0, Libc.EPOLL_CTL_DEL);
            }

            if (wanted.Events != 0)
            {
                Watch(wanted.Descriptor, wanted.Events, Libc.EPOLL_CTL_ADD);
            }
        }

        watched = wanted;
    }

    private void Watch(int descriptor, uint events, int operation)
    {
        var change = new EpollEvent { Events = events, Data = (ulong)descriptor };
        _ = Libc.EpollControl(_epoll, operation, descriptor, &change);
    }
}
