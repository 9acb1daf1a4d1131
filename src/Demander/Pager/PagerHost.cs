using Hecatonchire.Control;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Handover;
using Hecatonchire.Interop;
using Hecatonchire.Metrics;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <summary>A pager for one program at a time, with its sponsor and its socket.</summary>
internal sealed class PagerHost : IPagerHost
{
    private static readonly TimeSpan SponsorTimeout = TimeSpan.FromSeconds(10);

    private readonly PagerOptions _options;
    private readonly SponsorClient _client;
    private readonly SponsorConnections _connections;
    private readonly ILogger _logger;
    private readonly HandoverServer _server;
    private readonly object _lock = new();
    private readonly LatencyHistogram _endedLatencies = new();
    private PagerSession? _session;
    private PagerSnapshot _ended = new() { Transport = "tcp", TransportReason = "" };
    private string? _failure;

    private PagerHost(PagerOptions options, SponsorClient client, ILoggerFactory loggers)
    {
        (_options, _client, _logger) = (options, client, loggers.CreateLogger("Hecatonchire.Pager"));
        _connections = new SponsorConnections(options.Sponsor, client, options.Transport, _logger);
        _connections.Choose();
        _server = new HandoverServer(options.SocketPath, options.StopProgramAfter, Open, Close,
            loggers.CreateLogger("Hecatonchire.Handover"));
    }

    public string SocketPath => _options.SocketPath;

    public string? Failure => Volatile.Read(ref _failure);

    /// <summary>Connects to the sponsor and listens for the program. Throws <see cref="PagerStartException"/>.</summary>
    public static PagerHost Start(PagerOptions options, ILoggerFactory loggers)
    {
        Preparation.Begin();
        SponsorClient client = ConnectTo(options.Sponsor);
        try
        {
            LockMemory(loggers);
            return new PagerHost(options, client, loggers);
        }
        catch (PagerStartException)
        {
            client.Dispose();
            throw;
        }
        catch (System.Net.Sockets.SocketException e)
        {
            client.Dispose();
            throw new PagerStartException($"cannot listen on {options.SocketPath}: {e.Message}", 1);
        }
    }

    /// <summary>A demander of its own at a sponsor. Throws <see cref="PagerStartException"/>.</summary>
    public static SponsorClient ConnectTo(SponsorEndpoint sponsor)
    {
        try
        {
            return SponsorClient.Connect(sponsor.Host, sponsor.Port, sponsor.PublicKey, Guid.NewGuid(),
                $"heca-{Environment.MachineName}-{Environment.ProcessId}", SponsorTimeout);
        }
        catch (SponsorException e)
        {
            throw new PagerStartException(e.Message, 1);
        }
        catch (ZmqUnavailableException e)
        {
            throw new PagerStartException(e.Message, 3);
        }
    }

    public PagerSnapshot Snapshot()
    {
        lock (_lock)
        {
            return _session is null ? _ended : SnapshotOf(_session);
        }
    }

    public void CopyLatencies(LatencyHistogram target)
    {
        lock (_lock)
        {
            (_session?.Core.Latencies ?? _endedLatencies).CopyTo(target);
        }
    }

    public void ResetMeasurements()
    {
        lock (_lock)
        {
            _session?.Core.Latencies.Clear();
        }
    }

    public void TraceFaults(FaultTrace? trace)
    {
        lock (_lock)
        {
            if (_session is { } session)
            {
                session.Core.Trace = trace;
            }
        }
    }

    /// <summary>Bytes the pager thread of the current program has allocated; for the test that a fault allocates none.</summary>
    internal long PagerThreadAllocatedBytes => _session?.PagerThreadAllocatedBytes ?? 0;

    public void Dispose()
    {
        _server.Dispose();
        _client.Dispose();
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
        var session = new PagerSession(_options, _client, _connections, socket, process, in hello, descriptors, TellSponsorLost, StopProgram, _logger);
        lock (_lock)
        {
            _session = session;
        }

        return session;
    }

    private void Close(PagerSession session)
    {
        lock (_lock)
        {
            _ended = SnapshotOf(session);
            session.Core.Latencies.CopyTo(_endedLatencies);
            _session = null;
        }
    }

    private PagerSnapshot SnapshotOf(PagerSession session)
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
            Reconnects = session.Reconnects,
            Transport = _connections.InUse.Transport,
            TransportReason = _connections.InUse.Reason,
        };
    }

    private void TellSponsorLost(PagerSession session)
    {
        PagerCounters counters = session.Core.Counters;
        Volatile.Write(ref _failure,
            $"sponsor {_options.Sponsor.Host}:{_options.Sponsor.Port} is lost ({session.LossReason}): {counters.RemotePages + counters.PagesLost} pages "
            + "had their only copy there; the program gets SIGBUS where it touches one. Start the program again with a sponsor that is up.");
    }

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
