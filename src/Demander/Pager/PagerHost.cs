using Hecatonchire.Control;
using Hecatonchire.Handover;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Lending;
using Hecatonchire.Metrics;
using Hecatonchire.Pages;
using Hecatonchire.Transport.Sealing;
using Hecatonchire.Transport.Spill;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <summary>A pager for one program at a time, or for many, and the children that they fork, with its sponsor and its socket.</summary>
internal sealed partial class PagerHost : IMeasuredPager
{
    /// <summary>How long a program that comes while another goes waits for its slabs to be given back.</summary>
    private static readonly TimeSpan HandOverTime = TimeSpan.FromSeconds(2);

    /// <summary>What is kept for a program that waits for ever, if its host does not come back.</summary>
    private static readonly TimeSpan NeverStopped = TimeSpan.FromDays(1);

    private readonly PagerOptions _options;
    private readonly ILogger _logger;
    private readonly HandoverServer _server;
    private readonly object _lock = new();

    /// <summary>Held while a family of a dead pager is looked for or made: its processes come at once.</summary>
    private readonly Lock _takeOver = new();
    private readonly LatencyHistogram _endedLatencies = new();
    private readonly List<PagerSession> _sessions = [];
    private readonly List<PagerFamily> _families = [];

    /// <summary>One family at a time, unless there may be many.</summary>
    private readonly SemaphoreSlim _place = new(1);

    /// <summary>The sponsors, connected to at the start; the first program's.</summary>
    private IReadOnlyList<Lender>? _ready;
    private PagerSnapshot _ended = new() { Transport = "tcp", TransportReason = "" };
    private string? _failure;
    private string? _lostWhere;
    private StripeCounts _endedCounts;

    private PagerHost(PagerOptions options, IReadOnlyList<Lender> lenders, ILoggerFactory loggers)
    {
        (_options, _ready, _logger) = (options, lenders, loggers.CreateLogger("Hecatonchire.Pager"));
        _server = new HandoverServer(options.SocketPath, options.Owner, options.Starter, options.StopProgramAfter, Open, Close,
            loggers.CreateLogger("Hecatonchire.Handover"));
    }

    public string SocketPath => _options.SocketPath;

    public string? Failure => Volatile.Read(ref _failure) is { } failure ? failure + Volatile.Read(ref _lostWhere) : null;

    /// <summary>Connects to the sponsors and listens for the program. Throws <see cref="PagerStartException"/>.</summary>
    public static PagerHost Start(PagerOptions options, ILoggerFactory loggers)
    {
        Preparation.Begin();
        TrySpill(options.Borrowing.Spill);
        TrySeal(options.Borrowing.Seal, options.StateFolder);
        IReadOnlyList<Lender> lenders = ConnectToAll(options, Guid.NewGuid(), loggers.CreateLogger("Hecatonchire.Pager"), options.MayLackSponsors);
        try
        {
            LockMemory(loggers);
            return new PagerHost(options, lenders, loggers);
        }
        catch (Exception e) when (e is System.Net.Sockets.SocketException or IOException or UnauthorizedAccessException)
        {
            DisposeAll(lenders);
            throw new PagerStartException($"cannot listen on {options.SocketPath}: {e.Message}", 1);
        }
        catch
        {
            DisposeAll(lenders);
            throw;
        }
    }

    public PagerSnapshot Snapshot()
    {
        lock (_lock)
        {
            PagerSnapshot sum = _sessions.Aggregate(_ended, (sum, session) => sum.Plus(SnapshotOf(session)));
            StripeCounts counts = _families.Aggregate(_endedCounts, (sum, family) => sum + family.Pool.Counts);
            return sum with
            {
                Sponsors = _families.Select(family => family.Pool.Sponsors).DefaultIfEmpty(_options.Borrowing.All.Count).Min(),
                SponsorsLost = _families.Select(family => family.Pool.SponsorsLost).DefaultIfEmpty().Max(),
                SponsorsSilent = _families.Select(family => family.Pool.SponsorsSilent).DefaultIfEmpty().Max(),
                StripesLacking = _families.Sum(family => family.Pool.Degraded),
                StripesCrowded = _families.Sum(family => family.Pool.Crowded),
                SpilledBytes = _families.Sum(family => family.Pool.SpilledBytes),
                PagesCorrupted = counts.Corrupted,
                PagesRepaired = counts.Repaired,
                ReadsHedged = counts.Hedged,
                HedgesWon = counts.HedgesWon,
            };
        }
    }

    public void CopyLatencies(LatencyHistogram target)
    {
        lock (_lock)
        {
            (First?.Core.Latencies ?? _endedLatencies).CopyTo(target);
        }
    }

    public void ResetMeasurements()
    {
        lock (_lock)
        {
            First?.Core.Latencies.Clear();
        }
    }

    public void TraceFaults(FaultTrace? trace)
    {
        lock (_lock)
        {
            if (First is { } session)
            {
                session.Core.Trace = trace;
            }
        }
    }

    /// <summary>Bytes the pager thread of the current program has allocated; for the test that a fault allocates none.</summary>
    internal long PagerThreadAllocatedBytes => First?.PagerThreadAllocatedBytes ?? 0;

    public void AwaitProgress()
    {
        PagerFamily[] families;
        lock (_lock)
        {
            families = [.. _families];
        }

        Array.ForEach(families, family => family.AwaitProgress());
    }

    public IReadOnlyList<SegmentReport> Segments()
    {
        List<SegmentReport> all = [];
        foreach (PagerSession session in SessionsNow())
        {
            var cells = new SegmentCells(Math.Max(0, SegmentReport.MapsMax - all.Count));
            all.AddRange(session.Survey(cells).Select((figures, number) => SegmentReport.Of(session.Process, in figures, session.Core.Captures, cells, number)));
        }

        return all;
    }

    /// <summary>True where the memory of a program here is captured.</summary>
    public bool CapturesAny => Array.Exists(SessionsNow(), session => session.Core.Captures);

    public string? ResizeSegment(Guid id, long bytes, SegmentChange change)
    {
        int status = -Errno.ENOENT;
        foreach (PagerSession session in SessionsNow())
        {
            status = session.ResizeFromOutside(id, bytes, change);
            if (status != -Errno.ENOENT)
            {
                break;
            }
        }

        return status == 0 ? null : SegmentReport.WhyNot(-status);
    }

    private PagerSession[] SessionsNow()
    {
        lock (_lock)
        {
            return [.. _sessions];
        }
    }

    public IReadOnlyList<int> Programs
    {
        get
        {
            lock (_lock)
            {
                IEnumerable<int> here = _sessions.Where(session => session.IsForked || session.Core.Counters.SegmentPages > 0).Select(session => session.Process);
                return [.. here.Union(Expected), .. _families.SelectMany(family => family.Unclaimed)];
            }
        }
    }

    public bool IsServing
    {
        get
        {
            lock (_lock)
            {
                return _sessions.Count > 0 || _families.Count > 0 || Expected.Any();
            }
        }
    }

    /// <summary>Processes that a pager which has died has served, and that come here in a moment.</summary>
    private IEnumerable<int> Expected => _options.StateFolder is { } folder && (_families.Count == 0 || _families.Exists(family => family.IsOnTrial))
        ? TablesRecord.All(folder).Where(record => record.CanCome).Select(record => record.Process)
        : [];

    /// <summary>The program that was started; its forked children come after it.</summary>
    private PagerSession? First => _sessions.FirstOrDefault();

    public void Dispose()
    {
        _server.Dispose();

        // Left by children that never said HELLO.
        PagerFamily[] left;
        lock (_lock)
        {
            left = [.. _families];
        }

        Array.ForEach(left, family => family.Dispose());
        DisposeAll(Interlocked.Exchange(ref _ready, null) ?? []);
    }

    /// <summary>The pager's memory must not be swapped: what it holds may be what the kernel is waiting for.</summary>
    private static void LockMemory(ILoggerFactory loggers)
    {
        // ONFAULT: the runtime reserves far more address space than it uses. Without the privilege the limit counts
        // reservations, and every later mmap would fail; then it is better left.
        if (Libc.EffectiveUser() == 0 && Libc.LockAllMemory(Libc.MCL_CURRENT | Libc.MCL_FUTURE | Libc.MCL_ONFAULT) != 0)
        {
            PagerLog.NotLocked(loggers.CreateLogger("Hecatonchire.Pager"), Errno.Describe(Libc.Errno));
        }
    }

    private PagerSession Open(System.Net.Sockets.Socket socket, int process, in HandoverMessage hello, ReadOnlySpan<int> descriptors)
    {
        bool isForked = hello.IsForked;
        PagerMember? child = null;
        PagerFamily? family;
        PageTableFile? left = null;
        try
        {
            left = hello.IsResumed ? OpenLeft(process, descriptors[^1]) : null;
            family = (left is not null ? FindOrTakeOverFamily(left, descriptors[1]) : isForked ? FindFamily((int)hello.Value1, process, out child) : MakeFamily()) ?? throw new InvalidOperationException("no program here has forked it");
        }
        catch
        {
            left?.Dispose();
            foreach (int descriptor in descriptors)
            {
                _ = Libc.Close(descriptor);
            }

            throw;
        }

        try
        {
            var session = new PagerSession(_options, family, child, socket, process, in hello, descriptors, StopProgram, left, _logger);
            lock (_lock)
            {
                if (_sessions.Count == 0)
                {
                    // What was before is another program's.
                    _ended = new() { Transport = "tcp", TransportReason = "" };
                }

                _sessions.Insert(isForked || _options.ManyPrograms ? _sessions.Count : 0, session);
            }

            family.NoteOpened(process);
            return session;
        }
        catch
        {
            family.NoteOpened(process);
            family.Leave();
            throw;
        }
        finally
        {
            left?.Dispose();
        }
    }

    private PagerFamily MakeFamily()
    {
        bool isOne = !_options.ManyPrograms;
        if (isOne && !_place.Wait(HandOverTime))
        {
            throw new PagerBusyException();
        }

        void End() => _ = isOne ? _place.Release() : 0;
        try
        {
            // A demander of its own each: what is fenced off, where its connections are rebuilt, is its own then.
            return Enlist(
                Interlocked.Exchange(ref _ready, null) ?? ConnectToAll(_options, Guid.NewGuid(), _logger, mayLack: true), null,
                demander => _options.Borrowing.Seal ? SealFile.Create(_options.StateFolder, demander) : null, End);
        }
        catch
        {
            End();
            throw;
        }
    }

    /// <summary>What the program's last pager has left. Throws <see cref="InvalidDataException"/> where nobody can go on from it.</summary>
    private unsafe PageTableFile OpenLeft(int process, int descriptor)
    {
        if (_options.StateFolder is not { } folder || new TablesRecord(folder, process) is not { } record || !record.Has(PageTableFile.IdentityOf(descriptor)))
        {
            throw new InvalidDataException("it comes with page tables that no pager gave it");
        }

        PageTableFile left = PageTableFile.Open(descriptor);
        if (!left.HasUntold && !Array.Exists(KernelProgramMemory.ChangesIn(left.Messages, left.MessagesNoted), change => change.Kind == FaultKind.Forked))
        {
            return left;
        }

        // Those that share memory with it need not wait for it.
        left.Dispose();
        record.Delete();
        throw new InvalidDataException("its pager died while the program forked");
    }

    /// <summary>The family that others of a dead pager's family have come to already, joined; else a new one. Throws <see cref="InvalidDataException"/>.</summary>
    private PagerFamily FindOrTakeOverFamily(PageTableFile left, int ring)
    {
        lock (_takeOver)
        {
            PagerFamily? found;
            lock (_lock)
            {
                found = _families.Find(family => family.Demander == left.Demander);
            }

            // One that runs is not cut off by who comes late.
            return found is null ? TakeOverFamily(left, ring)
                : found.TryJoin() ? found
                : throw new InvalidDataException("the processes that share memory with it go on without it, or are just ending");
        }
    }

    /// <summary>The family of a program that another pager has had, as the same demander, with its stripes; what that one had sent takes effect no more.</summary>
    private unsafe PagerFamily TakeOverFamily(PageTableFile left, int ring)
    {
        List<Lender> lenders = ConnectToAll(_options, left.Demander, _logger, mayLack: true, [.. new ReadOnlySpan<Guid>(left.Sponsors, SponsorSet.SponsorsMax)]);
        try
        {
            foreach (Lender lender in lenders)
            {
                lender.Client.Reset(SponsorTimeout, CancellationToken.None);
            }
        }
        catch
        {
            DisposeAll(lenders);
            throw;
        }

        PagerFamily family = Enlist(lenders, CommandRing.ReadHash(ring), demander => SealFile.Open(_options.StateFolder!, demander), static () => { });
        try
        {
            family.IsOnTrial = true;
            family.Pool.TakeOver(left);
            return family;
        }
        catch
        {
            family.Leave();
            throw;
        }
    }

    /// <summary>A family that has been joined; when it has ended, <paramref name="end"/> is called. The lenders are its own, whatever comes.</summary>
    private PagerFamily Enlist(IReadOnlyList<Lender> lenders, PageHash? hash, Func<Guid, SealFile?> openSeals, Action end)
    {
        Guid demander = lenders[0].Client.Demander;
        PagerFamily? family = null;
        SealFile? seals;
        try
        {
            seals = openSeals(demander);
        }
        catch
        {
            DisposeAll(lenders);
            throw;
        }

        var pool = new StripePool(_options.Borrowing, lenders, seals, _logger)
        {
            OnPagesLost = (sponsor, why, pages) => TellPagesLost(sponsor, why, pages),
            OnPagesCorrupted = pages => Volatile.Write(ref _failure,
                $"{pages} pages came back from sponsor {family!.Pool.Names} other than they were written, each time: the program gets SIGBUS where it touches one. "
                + "Memory or the network there changes bits."),
            OnShort = isShort => family!.Thread.LetGrow(isShort),
            Reconnect = sponsor => ConnectAsLender(_options, sponsor, demander, _logger),
        };
        try
        {
            family = new PagerFamily(_options, pool, hash, _logger)
            {
                Lease = _options.Borrowing.Finder?.Own(demander, TimeUntilStopped),
                OnSponsorLost = core => TellSponsorLost(family!, core),
                OnPageLost = (segment, start, bytes, page) => Interlocked.CompareExchange(
                    ref _lostWhere, $" The first that it touched is at 0x{page:x}, in segment {segment}: {new ByteSize(bytes)} from 0x{start:x} on.", null),
                OnEnded = () =>
                {
                    Forget(family!);
                    end();
                },
            };
        }
        catch
        {
            pool.Stop();
            pool.Dispose();
            throw;
        }

        family.Join();
        lock (_lock)
        {
            _families.Add(family);
        }

        return family;
    }

    /// <summary>How long a program can go on with another pager when this one has died: not at all where nobody comes after it.</summary>
    private TimeSpan TimeUntilStopped => _options.StateFolder is null ? TimeSpan.Zero
        : _options.StopProgramAfter > TimeSpan.Zero ? _options.StopProgramAfter : NeverStopped;

    private void Forget(PagerFamily family)
    {
        lock (_lock)
        {
            _ = _families.Remove(family);
            _endedCounts += family.Pool.Counts;
        }
    }

    /// <summary>The family that a forked child belongs to, joined; null where there is none.</summary>
    private PagerFamily? FindFamily(int thread, int process, out PagerMember? child)
    {
        PagerFamily[] families;
        lock (_lock)
        {
            families = [.. _families];
        }

        foreach (PagerFamily family in families)
        {
            child = family.Claim(thread, process, families.Length == 1 ? null : TimeSpan.FromMilliseconds(100));
            if (child is not null)
            {
                return family;
            }
        }

        child = null;
        return null;
    }

    /// <summary>The session's program has gone; what it did still counts.</summary>
    private void Close(PagerSession session)
    {
        lock (_lock)
        {
            if (session == First)
            {
                session.Core.Latencies.CopyTo(_endedLatencies);
            }

            _ = _sessions.Remove(session);
            PagerSnapshot last = SnapshotOf(session);
            _ended = _ended.Plus(_sessions.Count == 0 ? last : last with { SegmentBytes = 0, ResidentBytes = 0, RemoteBytes = 0, WriteBackQueue = 0 });
        }
    }

    private static PagerSnapshot SnapshotOf(PagerSession session)
    {
        PagerCounters counters = session.Core.Counters;
        return new PagerSnapshot
        {
            SegmentBytes = counters.SegmentPages << PageSize.Shift,
            BudgetBytes = counters.AllowancePages << PageSize.Shift,
            ResidentBytes = counters.InProgramPages << PageSize.Shift,
            ResidentPeakBytes = counters.ResidentPeakPages << PageSize.Shift,
            RemoteBytes = counters.RemotePages << PageSize.Shift,
            Faults = counters.Faults,
            HardFaults = counters.HardFaults,
            ZeroFills = counters.ZeroFills,
            WriteFaults = counters.WriteFaults,
            PagesIn = counters.PagesIn,
            PagesOut = counters.PagesOut,
            PagesDropped = counters.PagesDropped,
            PagesCleaned = counters.PagesCleaned,
            PagesPrefetched = counters.PagesPrefetched,
            PrefetchUsed = counters.PrefetchUsed,
            PrefetchWasted = counters.PrefetchWasted,
            PagesLost = counters.PagesLost,
            WriteBackQueue = counters.DepartingPages,
            StagingHits = counters.StagingHits,
            RoomWaits = counters.RoomWaits,
            Reconnects = session.Family.Pool.Reconnects,
            Forks = counters.Forks,
            Transport = session.Family.Pool.InUse.Transport,
            TransportReason = session.Family.Pool.InUse.Reason,
        };
    }

    private void TellSponsorLost(PagerFamily family, PagerCore core)
    {
        PagerCounters counters = core.Counters;
        TellPagesLost(family.Pool.Names, family.Pool.LossReason ?? "it ended the connection", counters.RemotePages + counters.PagesLost);
    }

    private void TellPagesLost(string sponsor, string why, long pages) => Volatile.Write(ref _failure,
        $"sponsor {sponsor} is lost ({why}): {pages} pages "
        + "had their only copy there; the program gets SIGBUS where it touches one. Start the program again with a sponsor that is up.");

    private void StopProgram(PagerSession session)
    {
        int errno = session.Core.Counters.LastProgramErrno;
        Volatile.Write(ref _failure, errno != 0 && session.Core.Captures
            ? $"program {session.Process} was stopped: it has locked its captured memory (mlock, mlockall), made too much of it unwritable, or moved it where it cannot be followed ({Errno.Describe(errno)}); memory that it locks must stay out: --capture-except, or no heca"
            : errno != 0
            ? $"program {session.Process} was stopped: it unmapped or locked sponsored memory itself, or overwrote what belongs to libheca ({Errno.Describe(errno)}); free and resize it through heca.h or the C# API"
            : (_failure ?? "a page is lost") + " This kernel has no UFFDIO_POISON (it is in Linux 6.6), so the program was stopped.");
        _ = Libc.Kill(session.Process, Libc.SIGKILL);
    }
}
