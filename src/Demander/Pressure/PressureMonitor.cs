using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Pressure;

/// <summary>
/// Tells the pager how much sponsored memory may be resident in the program, so that its memory cgroup stays below its limit
/// (and its memory.high) and the kernel has nothing to reclaim or kill:
/// <c>allowed = bound - margin - (usage - sponsored resident - droppable page cache)</c>, the least over all levels of the
/// group's path. A thread of its own listens to the kernel and publishes; the pager thread reads a field, and near
/// the bound takes a fresh figure by itself with <see cref="Refresh"/>.
/// </summary>
/// <remarks>
/// Without a limit only the host counts: when its PSI reports stalls and MemAvailable is below 2 % of MemTotal (at least
/// 64 MiB), what is missing to that is asked back from the pager. Stop the pager thread before <see cref="Dispose"/>.
/// </remarks>
internal sealed unsafe class PressureMonitor : IDisposable
{
    /// <summary>How old a figure may get that no event renews. Thresholds of v1 and PSI report growth earlier.</summary>
    private const int RefreshMs = 250;

    /// <summary>Samples that the pager overtook before the thread leaves it to the pager's own figure.</summary>
    private const int SampleAttempts = 3;

    private const int SequenceBits = 24;
    private const long SequenceMask = (1L << SequenceBits) - 1;
    private const long UnlimitedPages = (1L << (63 - SequenceBits)) - 1;

    private readonly CgroupMemory? _memory;
    private readonly PressureSources _sources = new();
    private readonly HostMemory _host;
    private readonly Thread _thread;
    private readonly int _stop;
    private readonly int _wait;

    // Allowance in pages and the pager's sequence number in one word: the thread replaces it only where the pager
    // has not put a fresher one there since the thread began to read.
    private long _published = UnlimitedPages << SequenceBits;
    private long _pagerSequence;
    private long _hostAllowed = long.MaxValue;
    private long _resident;
    private long _lastSignalled = long.MaxValue;
    private int _notifications;

    /// <summary>
    /// Starts the thread. <paramref name="memory"/> is the program's group (from <see cref="CgroupMemory.Find"/>; owned from now on), or
    /// null when it has no limit.
    /// </summary>
    public PressureMonitor(CgroupMemory? memory, string procRoot = "/proc")
    {
        _memory = memory;
        _stop = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        _wait = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        if (_stop < 0 || _wait < 0)
        {
            throw new IOException($"no eventfd for the pressure monitor: {Errno.Describe(Libc.Errno)}");
        }

        _host = new HostMemory(procRoot);
        _sources.AddStop(_stop);
        _sources.AddHost(procRoot);
        if (memory is not null)
        {
            _sources.ArmGroups(memory);
            Sample();
        }

        Armed = _sources.Armed;
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { Name = "heca-pressure", IsBackground = true };
        _thread.Start();
    }

    /// <summary>The program's group; null when there is no limit.</summary>
    public CgroupMemory? Memory => _memory;

    /// <summary>What the kernel agreed to report at the start: see <see cref="PressureSources.Armed"/>.</summary>
    public IReadOnlyList<string> Armed { get; }

    /// <summary>Events of the kernel so far.</summary>
    public int Notifications => Volatile.Read(ref _notifications);

    /// <summary>
    /// An eventfd for the pager's epoll: readable after an event of the kernel, and when the allowance has fallen below what
    /// was last reported as resident. <see cref="Acknowledge"/> makes it unreadable again.
    /// </summary>
    public int WaitDescriptor => _wait;

    /// <summary>
    /// How many bytes of sponsored memory may be resident now; long.MaxValue when nothing limits it, 0 when all should
    /// leave. Tells the monitor what is resident at the same time, so call it with the true figure before a batch of installs and
    /// after the last one before sleeping. A few nanoseconds.
    /// </summary>
    public long AllowedResidentBytes(long sponsoredResidentBytes)
    {
        Volatile.Write(ref _resident, sponsoredResidentBytes);
        return AllowedNow;
    }

    /// <summary>As <see cref="AllowedResidentBytes"/> last came out, for others than the pager.</summary>
    public long AllowedNow => Math.Min(Unpack(Volatile.Read(ref _published)), Volatile.Read(ref _hostAllowed));

    /// <summary>
    /// Reads usage now and renews the allowance; pager thread only, every so many installs while little room is left. One to two
    /// microseconds per limited level, no allocation. True while <paramref name="sponsoredResidentBytes"/> is within the allowance.
    /// </summary>
    public bool Refresh(long sponsoredResidentBytes)
    {
        Volatile.Write(ref _resident, sponsoredResidentBytes);
        if (_memory is null)
        {
            return sponsoredResidentBytes <= Volatile.Read(ref _hostAllowed);
        }

        long allowed = long.MaxValue;
        foreach (CgroupLevel level in _memory.Levels)
        {
            long bound = level.BoundBytes;
            long usage = bound == long.MaxValue ? -1 : level.ReadUsage();
            if (usage >= 0)
            {
                allowed = Math.Min(allowed, Allowed(level, bound, level.OtherBytes(usage, sponsoredResidentBytes)));
            }
        }

        _pagerSequence = (_pagerSequence + 1) & SequenceMask;
        Volatile.Write(ref _published, Pack(allowed, _pagerSequence));
        return sponsoredResidentBytes <= Math.Min(allowed, Volatile.Read(ref _hostAllowed));
    }

    /// <summary>Empties <see cref="WaitDescriptor"/>. Never blocks.</summary>
    public void Acknowledge()
    {
        ulong count;
        Libc.Read(_wait, &count, sizeof(ulong));
    }

    public void Dispose()
    {
        Raise(_stop);
        _thread.Join();
        _sources.Dispose();
        _host.Dispose();
        _memory?.Dispose();
        _ = Libc.Close(_stop);
        _ = Libc.Close(_wait);
    }

    private static void Raise(int counter)
    {
        ulong one = 1;
        Libc.Write(counter, &one, sizeof(ulong));
    }

    private static long Allowed(CgroupLevel level, long bound, long other) =>
        Math.Max(0, bound - CgroupLevel.MarginOf(bound, level.HasPager) - other) & ~(long)(PageSize.Bytes - 1);

    private static long Pack(long bytes, long sequence) =>
        (Math.Min(bytes / PageSize.Bytes, UnlimitedPages) << SequenceBits) | sequence;

    private static long Unpack(long published)
    {
        long pages = published >> SequenceBits;
        return pages == UnlimitedPages ? long.MaxValue : pages * PageSize.Bytes;
    }

    private void Run()
    {
        while (true)
        {
            bool watching = _memory is not null || Volatile.Read(ref _hostAllowed) != long.MaxValue;
            PressureSignals signals = _sources.Wait(watching ? RefreshMs : -1);
            if ((signals & PressureSignals.Stop) != 0)
            {
                return;
            }

            RefreshLimits();
            Sample();
            SampleHost((signals & PressureSignals.Host) != 0);
            if (signals != PressureSignals.None)
            {
                Volatile.Write(ref _notifications, _notifications + 1);
            }

            SignalPager(signals != PressureSignals.None);
        }
    }

    private void RefreshLimits()
    {
        bool changed = false;
        foreach (CgroupLevel level in _memory is null ? default : _memory.Levels)
        {
            changed |= level.RefreshLimits();
        }

        if (changed)
        {
            _sources.ArmGroups(_memory!);
        }
    }

    /// <summary>Reads usage and page cache of every limited level and publishes what follows.</summary>
    private void Sample()
    {
        for (int attempt = 0; _memory is not null && attempt < SampleAttempts; attempt++)
        {
            long observed = Volatile.Read(ref _published);
            long allowed = long.MaxValue;
            foreach (CgroupLevel level in _memory.Levels)
            {
                long bound = level.BoundBytes;
                if (bound != long.MaxValue)
                {
                    allowed = Math.Min(allowed, SampleLevel(level, bound));
                }
            }

            if (Interlocked.CompareExchange(ref _published, Pack(allowed, observed & SequenceMask), observed) == observed)
            {
                return;
            }
        }
    }

    private long SampleLevel(CgroupLevel level, long bound)
    {
        // The pager goes on meanwhile. The smaller figure makes the rest look larger: an error to the safe side.
        long before = Volatile.Read(ref _resident);
        long usage = level.ReadUsage();
        long resident = Math.Min(before, Volatile.Read(ref _resident));
        if (usage < 0)
        {
            return long.MaxValue;
        }

        level.Sample(usage, resident);
        return Allowed(level, bound, level.OtherBytes(usage, resident));
    }

    /// <summary>Host pressure begins with a PSI event while memory is short, and ends when it is not short any more.</summary>
    private void SampleHost(bool reported)
    {
        if (reported || Volatile.Read(ref _hostAllowed) != long.MaxValue)
        {
            long missing = _host.ReadMissing();
            Volatile.Write(ref _hostAllowed,
                missing <= 0 ? long.MaxValue : Math.Max(0, Volatile.Read(ref _resident) - missing));
        }
    }

    /// <summary>A tick wakes the pager only when there is more to give back than the last time: it may be unable to.</summary>
    private void SignalPager(bool reported)
    {
        long resident = Volatile.Read(ref _resident);
        long allowed = Math.Min(Unpack(Volatile.Read(ref _published)), Volatile.Read(ref _hostAllowed));
        bool over = allowed < resident;
        if (reported || (over && allowed < _lastSignalled))
        {
            Raise(_wait);
        }

        _lastSignalled = over ? allowed : long.MaxValue;
    }
}
