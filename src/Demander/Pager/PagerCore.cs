using System.Diagnostics;
using Hecatonchire.Eviction;
using Hecatonchire.Faults;
using Hecatonchire.Fetch;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Metrics;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Prefetch;
using Hecatonchire.Staging;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Pager;

/// <summary>
/// The pager of one program: a run-to-completion machine that one thread drives with <see cref="RunOnce"/>. It knows
/// pages, slots and requests, but neither the kernel nor sockets: those are behind <see cref="IProgramMemory"/> and
/// <see cref="IDataConnection"/>, so that the simulation runs this very code. Nothing it does in RunOnce allocates, blocks,
/// throws or logs, but for a fork, in which the program waits. The files: Faults (what a fault needs), Fetches (reads and installs), Evictions (pages out of
/// the program), WriteBacks (pages to the sponsor), Requests (what the program asks for), Changes (what it does by itself),
/// Capture (memory it did not get from the pager), Forks (what a forked child begins with), Sharing (pages that parent and child still have in common).
/// </summary>
internal sealed unsafe partial class PagerCore : IDisposable
{
    /// <summary>Fault events taken at a time: more would only delay the answers to the first ones.</summary>
    private const int FaultBatch = 32;

    /// <summary>Below this allowance a program could not hold the pages of one instruction of each of its threads.</summary>
    private const long AllowancePagesMin = 64;

    private const int ZeroRunPages = 64;

    /// <summary>Pages the evictor is given at a time.</summary>
    private const long EvictPagesMax = 256;

    private readonly IProgramMemory _program;
    private readonly IDataConnection _reader;
    private readonly IDataConnection _writer;
    private readonly IPrefetchPolicy _prefetch;
    private readonly LocalBudget _local;
    private readonly SegmentTable _segments = new();
    private readonly SlotMap _slots;

    /// <summary>Outlives this pager, where it is not null.</summary>
    private readonly PageTableFile? _tables;
    private readonly bool _ownsSlots;
    private readonly EvictionPolicy _queue;
    private readonly FetchOperations _fetches = new();
    private readonly HeldPages _held = new();
    private readonly StagingBlocks _staging;
    private readonly ParkedFaults _parked = new();
    private readonly byte* _zeros = NativeMemoryMap.Populate(ZeroRunPages << PageSize.Shift);
    private readonly FaultEvent[] _events = new FaultEvent[FaultBatch];
    private readonly DataCompletion[] _completions = new DataCompletion[64];
    private readonly EvictorCompletion[] _evictorCompletions = new EvictorCompletion[64];

    private long _budgetPages;
    private long _pressurePages = long.MaxValue;

    /// <summary>Pages that count against the budget: in the program, in its staging area, or reserved for an install.</summary>
    private long _occupied;

    /// <summary>Of these, pages of blocks that are on their way out.</summary>
    private long _departing;

    /// <summary>Pages really in the program now: resident and staged.</summary>
    private long _inProgram;

    /// <summary>Pages that have come into the program in all.</summary>
    private long _installed;
    private bool _programGone;
    private bool _isLossTold;
    private bool _mayGrow;
    private bool _hasLeft;

    /// <summary>A fault waits for a page that the evictor has; stays set until the evictor has nothing left to do.</summary>
    private bool _evictorAwaited;

    public PagerCore(IProgramMemory program, IDataConnection reader, IDataConnection writer, IPrefetchPolicy prefetch,
        LocalBudget local, int stagingPages, EvictionKind eviction = EvictionKinds.Default, SlotMap? slots = null, PageTableFile? tables = null)
    {
        _tables = tables;
        (_slots, _ownsSlots) = (slots ?? new SlotMap(), slots is null);
        (_program, _reader, _writer, _prefetch, _local) = (program, reader, writer, prefetch, local);
        _staging = new StagingBlocks(stagingPages);
        _recycles = new BlockStack(_staging.Count);
        _queue = eviction.Create(_segments);
        _budgetPages = local.Resolve(0) >> PageSize.Shift;
        try
        {
            Register(reader, _fetches.Memory, _fetches.Bytes);
            Register(writer, _staging.MirrorMemory, _staging.MirrorBytes);
            if (program.CanSnapshot)
            {
                Register(writer, program.SnapshotData, PageSnapshots.PagesMax << PageSize.Shift);
            }
        }
        catch (DataConnectionException)
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What <see cref="IDataConnection.Register"/> is asked for in all, for messages and limits.</summary>
    public static long RegisteredBytes(int stagingPages) =>
        ((long)FetchOperations.Singles + (FetchOperations.Runs * FetchOperations.RunPages) + stagingPages + PageSnapshots.PagesMax + ReadHedges.Pages) << PageSize.Shift;

    /// <summary>Fault latencies, event read to page installed, nanoseconds.</summary>
    public LatencyHistogram Latencies { get; } = new();

    public PagerCounters Counters { get; } = new();

    public DirtyTracking DirtyTracking { get; init; } = DirtyTracking.Protect;

    /// <summary>Where the stages of hard faults are recorded; null but for a benchmark.</summary>
    public FaultTrace? Trace { get; set; }

    /// <summary>Set after a sleep: look at both connections even where nothing is in flight, to notice their end.</summary>
    public bool CheckConnections { get; set; }

    /// <summary>The thread of the newest fault; 0 when the kernel does not say.</summary>
    public int LastFaultThread { get; private set; }

    /// <summary>True once the program's address space is gone: nothing more can be done for it.</summary>
    public bool ProgramGone => _programGone;

    /// <summary>True once a connection to the sponsor is given up.</summary>
    public bool SponsorLost
    {
        get;
        private set
        {
            if (value && !field)
            {
                field = true;
                OnSponsorLost?.Invoke();
            }
        }
    }

    /// <summary>Called once, when the sponsor is lost and before a page is given up: a program that ends by it must find the reason told.</summary>
    public Action? OnSponsorLost { get; init; }

    /// <summary>Called once, when the program has touched a page that no sponsor can return: the segment's number, address and bytes, and the page's address.</summary>
    public Action<int, ulong, long, ulong>? OnPageLost { get; init; }

    /// <summary>True when a page is lost and the kernel cannot poison it: the program must be stopped.</summary>
    public bool MustStopProgram { get; private set; }

    /// <summary>True while an answer is expected within microseconds: the thread should spin rather than sleep.</summary>
    public bool IsDemandInFlight { get; private set; }

    /// <summary>True while anything at all is in flight.</summary>
    public bool IsBusy => _fetches.InFlight > 0 || _departing > 0 || _parked.Count > 0 || _request is not null || IsChangePending || IsCleaning || _isUnsharing;

    /// <summary>True while pages are on their way here.</summary>
    public bool IsFetching => _fetches.InFlight > 0;

    /// <summary>True while pages are on their way out: nobody waits for them, but the pager must look again soon.</summary>
    public bool IsEvicting => _departing > 0;

    /// <summary>True when the evictor's next answer is waited for: by a fault, a request, or the last free pages.</summary>
    public bool IsEvictorAwaited => _evictorAwaited || _parked.Count > 0 || _request is not null || IsChangePending || (_departing > 0 && Room < LowWatermark / 2);

    public long BudgetPages => _budgetPages;

    public SegmentTable Segments => _segments;

    public SlotMap Slots => _slots;

    /// <summary>Pages that count as resident, in bytes, for the pressure monitor.</summary>
    public long InProgramBytes => _inProgram << PageSize.Shift;

    /// <summary>Pages that count against the budget now.</summary>
    public long OccupiedPages => _occupied;

    /// <summary>Staging blocks that hold pages on their way out.</summary>
    public int BlocksInUse => _staging.Count - _staging.FreeBlocks;

    /// <summary>What the memory cgroup leaves for resident pages; the smaller of this and the budget holds.</summary>
    public void LimitByPressure(long bytes) => _pressurePages = bytes == long.MaxValue ? bytes : Math.Max(0, bytes) >> PageSize.Shift;

    /// <summary>What may be in the program at all: resident, staged and, where taking copies, both at once.</summary>
    private long Ceiling => Math.Max(AllowancePagesMin, Captures ? CapturedCeiling : _mayGrow ? long.MaxValue / 2 : Math.Min(_budgetPages, _pressurePages));

    /// <summary>What installs may fill. Where taking copies, the copies of one batch need room too, or nothing could ever leave.</summary>
    private long Allowance => Ceiling - (_program.TakeCopies ? Math.Clamp(Ceiling / 16, CopyPagesMin, StagingBlocks.BlockPages) : 0);

    private long Room => Allowance - _occupied;

    /// <summary>Free pages are kept above this, so that a fault does not wait for a write-back.</summary>
    private long LowWatermark => Math.Clamp(Allowance / 64, 8, 2048);

    /// <summary>
    /// The evictor is woken once for this many pages, and has its core for as long as they take: fewer cost wake-ups, more stand in
    /// the way of the faults.
    /// </summary>
    private long HighWatermark => LowWatermark + Math.Min(LowWatermark, EvictPagesMax);

    /// <summary>
    /// One round: everything that can be done now. Faults come first, so that their fetches are on their way during all the rest;
    /// what has come is installed last, because on a shared core the program goes on only when the pager sleeps. False
    /// when there was nothing to do.
    /// </summary>
    public bool RunOnce()
    {
        NoteForkBegun();
        bool progress = TakeFaults();
        progress |= TakeEvictorCompletions();
        progress |= TakeWritten();
        progress |= StepChanges();
        AskWhetherAllIsTold();
        progress |= StepRequest();
        progress |= RetryParked();
        progress |= StepUnshare();
        progress |= EvictAhead();
        progress |= StepCleaner();
        PumpWrites();
        if (_reader.IsBroken || _writer.IsBroken)
        {
            SponsorLost = true;
        }

        _program.SubmitCommands();
        _reader.Submit();
        _writer.Submit();
        progress |= TakeFetched();
        Counters.Publish(_inProgram, _departing, Captures ? CapturedPages : _segments.TotalPages, Allowance, _prefetch);
        return progress;
    }

    /// <summary>Gives its part in connections that others go on with back. On the pager thread, once <see cref="IsDrained"/>.</summary>
    public void LeaveConnections()
    {
        UnregisterAll();
        _reader.Dispose();
        _writer.Dispose();
    }

    /// <summary>Where no other core uses the connections, or after <see cref="LeaveConnections"/>.</summary>
    public void Dispose()
    {
        UnregisterAll();

        _segments.Dispose();
        if (_ownsSlots)
        {
            _slots.Dispose();
        }

        _queue.Dispose();
        _fetches.Dispose();
        _held.Dispose();
        _staging.Dispose();
        _arrivals.Dispose();
        _ = Libc.Unmap(_zeros, ZeroRunPages << PageSize.Shift);
    }

    /// <summary>The program has ended, although no call on its memory has said so yet: what waits for its evictor ends.</summary>
    public void NoteProgramGone() => _programGone = true;

    private static void Register(IDataConnection connection, byte* memory, nuint bytes)
    {
        int errno = connection.Register(memory, bytes);
        if (errno != 0)
        {
            throw new DataConnectionException(DataConnectionFailure.Memory, DataConnectionException.NotRegistered((long)bytes, errno));
        }
    }

    private void UnregisterAll()
    {
        if (_hasLeft)
        {
            return;
        }

        _hasLeft = true;
        _reader.Unregister(_fetches.Memory);
        _writer.Unregister(_staging.MirrorMemory);
        if (_program.CanSnapshot)
        {
            _writer.Unregister(_program.SnapshotData);
        }
    }

    /// <summary>Where there are too few slots for what was promised one, pages stay here, whatever the bound is.</summary>
    public void LetGrow(bool mayGrow)
    {
        _mayGrow = mayGrow && !Captures;
        UpdateBudget();
    }

    private void UpdateBudget()
    {
        long all = Captures ? CapturedPages + _outsidePages : _segments.TotalPages;
        _budgetPages = _local.Resolve(all << PageSize.Shift) >> PageSize.Shift;
        EnsureQueued(Captures ? Math.Max(Math.Max(_budgetPages, _liftedPages), Math.Max(_occupied, _inheritedPages + ChildBound)) : _mayGrow ? all : Math.Min(_budgetPages, all));
    }

    private bool TryReserve(long pages)
    {
        if (pages > Room)
        {
            return false;
        }

        _occupied += pages;
        return true;
    }

    /// <summary>A page is resident now: it can be evicted, and cleaned.</summary>
    private void Admit(PageId id, ref PageEntry entry, PageArrival arrival)
    {
        _queue.Push(id, ref entry, arrival);
        NoteWritable(id, ref entry);
    }

    private ref PageEntry Entry(PageId id) => ref _segments[id.Segment].Entries[id.Page];

    private ulong AddressOf(PageId id) => _segments[id.Segment].Address + ((ulong)id.Page << PageSize.Shift);

    /// <summary>Counts pages that came into the program.</summary>
    private void CountInstalled(int pages)
    {
        _inProgram += pages;
        _installed += pages;
        Counters.ResidentPeakPages = Math.Max(Counters.ResidentPeakPages, _inProgram + _copying);
    }

    private void RecordLatency(long faultedAt)
    {
        if (faultedAt != 0)
        {
            Latencies.Record(Stopwatch.GetTimestamp() - faultedAt);
        }
    }

    /// <summary>The evictor answered what was not asked: the memory shared with the program is overwritten.</summary>
    public void NoteBrokenRing() => NoteProgramError(Errno.EPROTO);

    private void NoteProgramError(int errno)
    {
        if (errno == 0)
        {
            return;
        }

        // ESRCH: the process has ended. Anything else that is not handled where it arises means that the program has changed
        // its sponsored ranges behind the pager (munmap, mlock): it could only stall from here on.
        _programGone = true;
        Counters.LastProgramErrno = errno;
        MustStopProgram |= errno != Errno.ESRCH;
    }
}
