using System.Net.Sockets;
using Hecatonchire.Capture;
using Hecatonchire.Eviction;
using Hecatonchire.Handover;
using Hecatonchire.Interop;
using Hecatonchire.Lending;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Hecatonchire.Transport;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Service;

/// <summary>What the host's pager is started with; see the options of `heca pager`.</summary>
internal sealed record ServiceOptions
{
    public required string SocketPath { get; init; }

    public required Borrowing Borrowing { get; init; }

    /// <summary>The bound of a program that does not name one.</summary>
    public required LocalBudget Local { get; init; }

    public required TransportPreference Transport { get; init; }

    public required ServiceUsers Users { get; init; }

    /// <summary>True: where a pager listens already, this one takes its place.</summary>
    public bool TakesOver { get; init; }
}

/// <summary>
/// The host's pager: each `heca run` that asks gets a pager of its own in this process, with its own socket, bound, demander at the sponsor and figures, and
/// so has its program's memory cgroup. The figures of all of them together are this object's.
/// </summary>
internal sealed partial class PagerService : IDisposable
{
    private const int ExitFailed = 1;
    private const string JobFile = "job.json";

    /// <summary>How long a program whose pager has died has to come: it tries twenty times a second.</summary>
    private static readonly TimeSpan ComeTime = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan RequestTime = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan LingerTime = TimeSpan.FromSeconds(2);

    /// <summary>How often a pager whose `heca run` has gone is asked whether it serves somebody.</summary>
    private static readonly TimeSpan LeftPollTime = TimeSpan.FromMilliseconds(200);

    private readonly ServiceOptions _options;
    private readonly PagerFactory _startPager;
    private readonly ILoggerFactory _loggers;
    private readonly ILogger _log;
    private readonly ServiceDirectory _directory;
    private readonly Thread _thread;
    private readonly Lock _gate = new();
    private readonly List<Job> _jobs = [];
    private readonly LatencyHistogram _endedLatencies = new();
    private readonly ManualResetEventSlim _stop = new();
    private PagerSnapshot _ended = new() { Transport = "", TransportReason = "" };
    private volatile bool _drains;

    /// <summary>A `heca run`; null: one that a service which has died has served.</summary>
    private sealed class Job(Socket? client)
    {
        public Socket? Client => client;

        public string SocketPath { get; set; } = "";

        public uint User { get; set; }

        /// <summary>Of its `heca run`, or the service.</summary>
        public LocalBudget Local { get; set; }

        public DateTimeOffset Started { get; } = DateTimeOffset.UtcNow;

        public Thread? Thread { get; set; }

        public IPagerHost? Pager { get; set; }
    }

    /// <summary>Listens. Throws <see cref="PagerStartException"/>.</summary>
    public PagerService(ServiceOptions options, PagerFactory startPager, ILoggerFactory loggers)
    {
        (_options, _startPager, _loggers, _log) = (options, startPager, loggers, loggers.CreateLogger("heca.pager"));
        try
        {
            _directory = new ServiceDirectory(options.SocketPath, options.TakesOver);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException or ArgumentException)
        {
            throw new PagerStartException($"cannot listen on {options.SocketPath}: {e.Message}", 1);
        }

        foreach (string folder in _directory.Left)
        {
            Start(new Job(null), job => ServeLeft(job, folder));
        }

        _thread = new Thread(Run) { Name = "heca-service", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Programs' pagers that run now.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
            {
                return _jobs.Count(job => job.Pager is not null);
            }
        }
    }

    /// <summary>Of all programs so far, in one.</summary>
    public PagerSnapshot Snapshot()
    {
        lock (_gate)
        {
            return _jobs.Aggregate(_ended, (sum, job) => job.Pager is { } pager ? sum.Plus(pager.Snapshot()) : sum);
        }
    }

    public void CopyLatencies(LatencyHistogram target)
    {
        lock (_gate)
        {
            _endedLatencies.CopyTo(target);
            foreach (IPagerHost pager in _jobs.Select(job => job.Pager).OfType<IPagerHost>())
            {
                target.Add(LatenciesOf(pager));
            }
        }
    }

    /// <summary>Returns when who comes has been answered, and every thread that serves a program has been seen to go on. Throws where nobody answers.</summary>
    public void AwaitProgress()
    {
        using (var asker = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified))
        {
            // Who asks nothing is let go.
            asker.Connect(new UnixDomainSocketEndPoint(_options.SocketPath));
            asker.Shutdown(SocketShutdown.Send);
            _ = asker.Receive(new byte[1]);
        }

        IPagerHost[] pagers;
        lock (_gate)
        {
            pagers = [.. _jobs.Select(job => job.Pager).OfType<IPagerHost>()];
        }

        Array.ForEach(pagers, pager => pager.AwaitProgress());
    }

    /// <summary>Takes no more programs; those that are served are served until they end.</summary>
    public void Drain() => _drains = true;

    public void Dispose()
    {
        _stop.Set();
        HandoverSocket.Shutdown(_directory.Listener);
        _thread.Join();
        Job[] left;
        lock (_gate)
        {
            left = [.. _jobs];
        }

        Array.ForEach(left, job => HandoverSocket.Shutdown(job.Client));
        Array.ForEach(left, job => job.Thread!.Join());
        _directory.Dispose();
        _stop.Dispose();
    }

    private void Run()
    {
        while (!_stop.IsSet)
        {
            try
            {
                Start(new Job(_directory.Listener.Accept()), job => Serve(job, job.Client!));
            }
            catch (SocketException)
            {
                // The listener was shut down, or who asked left between connect and accept.
            }
        }
    }

    private void Start(Job job, Action<Job> serve)
    {
        job.Thread = new Thread(() => ServeAndClose(job, serve)) { Name = "heca-job", IsBackground = true };
        lock (_gate)
        {
            _jobs.Add(job);
        }

        job.Thread.Start();
    }

    private void ServeAndClose(Job job, Action<Job> serve)
    {
        using (job.Client)
        {
            try
            {
                serve(job);
            }
            catch (Exception e)
            {
                // One program's failure is not the others'.
                LogFailed(e.Message);
                Refuse(job.Client, e.Message, ExitFailed);
            }

            lock (_gate)
            {
                _ = _jobs.Remove(job);
            }
        }
    }

    private void Serve(Job job, Socket client)
    {
        // Read before anything is answered: to whom still sends, a connection that ends says only that. Who sends nothing is not waited for long.
        client.ReceiveTimeout = (int)RequestTime.TotalMilliseconds;
        if (!ServicePackets.Receive(client, out ServiceRequest? request))
        {
            return;
        }

        client.ReceiveTimeout = 0;
        var peer = PeerCredentials.Of((int)client.Handle);
        string user = Accounts.NameOf(peer.User);
        if (!_options.Users.Allows(in peer, PeerCredentials.GroupsOf((int)client.Handle)))
        {
            LogNotAllowed(user, peer.Process);
            Refuse(client, $"the pager at {_options.SocketPath} does not serve {user}: its operator starts it with --allow {user}, or @GROUP", ExitFailed);
            return;
        }

        if (Libc.EffectiveUser() != 0 && peer.User != Libc.EffectiveUser())
        {
            Refuse(client, $"the pager at {_options.SocketPath} runs as {Accounts.NameOf(Libc.EffectiveUser())}, who cannot serve programs of {user}; one that root runs can", ExitFailed);
            return;
        }

        if (request?.Attach is { } path)
        {
            Attach(client, path, peer.User);
            return;
        }

        if (_drains)
        {
            Refuse(client, $"the pager at {_options.SocketPath} is ending and takes no more programs", ExitFailed);
            return;
        }

        string folder = "";
        try
        {
            if (request?.Open is not { } open || OptionsFor(open, folder = _directory.MakeJob(), peer.User, peer.Process) is not { } options)
            {
                LogMalformed(user, peer.Process);
                Refuse(client, "the pager does not know what is asked of it: not of the same build?", ExitFailed);
                return;
            }

            ServicePackets.Write(Path.Combine(folder, JobFile), new ServiceJob { Open = open, User = peer.User });
            Serve(job, options, user, client);
        }
        finally
        {
            if (folder.Length > 0)
            {
                ServiceDirectory.Forget(folder);
            }
        }
    }

    /// <summary>A program that a service which has died has served: it comes by itself, to the socket that it knows.</summary>
    private void ServeLeft(Job job, string folder)
    {
        try
        {
            if (ServicePackets.Read<ServiceJob>(Path.Combine(folder, JobFile)) is { Open: not null } left && OptionsFor(left.Open, folder, left.User, starter: null) is { } options)
            {
                File.Delete(options.SocketPath);
                Serve(job, options with { MayLackSponsors = true }, Accounts.NameOf(left.User), null);
            }
        }
        catch (FileNotFoundException)
        {
            // It died before it had one.
        }
        finally
        {
            ServiceDirectory.Forget(folder);
        }
    }

    /// <summary>A `heca run` whose service has died asks after its program.</summary>
    private void Attach(Socket client, string path, uint user)
    {
        IPagerHost? pager = null;
        for (long end = Environment.TickCount64 + (long)ComeTime.TotalMilliseconds; pager is null && !_stop.IsSet && Environment.TickCount64 < end; _ = _stop.Wait(LeftPollTime))
        {
            lock (_gate)
            {
                pager = _jobs.Find(job => job.SocketPath == path && (user == 0 || job.User == user))?.Pager;
            }
        }

        if (pager is null)
        {
            Refuse(client, $"no program has {path} here", ExitFailed);
            return;
        }

        if (ServicePackets.Send(client, new ServiceAnswer { Figures = FiguresOf(pager) }))
        {
            Answer(client, pager);
        }
    }

    private static void Answer(Socket client, IPagerHost pager)
    {
        while (ServicePackets.Receive(client, out ServiceRequest? request) && ServicePackets.Send(client, AnswerTo(request, pager)))
        {
        }
    }

    private static ServiceAnswer AnswerTo(ServiceRequest? request, IPagerHost pager) => request switch
    {
        { Resize: { } resize } => Guid.TryParseExact(resize.Id, "N", out Guid id)
            ? new ServiceAnswer { Error = pager.ResizeSegment(id, resize.Bytes, resize.Change) }
            : new ServiceAnswer { Error = "that is no segment's id", Status = ExitFailed },
        { SegmentsFrom: { } from } => new ServiceAnswer { Segments = [.. pager.Segments().Skip(from).Take(ServicePackets.SegmentsMax)] },
        _ => new ServiceAnswer { Figures = FiguresOf(pager) },
    };

    private void Serve(Job job, PagerOptions options, string userName, Socket? client)
    {
        uint user = options.Owner!.Value;
        IPagerHost pager;
        try
        {
            pager = _startPager(options, _loggers);
        }
        catch (PagerStartException e)
        {
            Refuse(client, e.Message, e.ExitCode);
            LogNotOpened(userName, options.SocketPath, e.Message);
            return;
        }

        using (pager)
        {
            lock (_gate)
            {
                (job.SocketPath, job.User, job.Local, job.Pager) = (options.SocketPath, user, options.Local, pager);
            }

            LogOpened(userName, options.SocketPath, options.Local);
            var opened = new OpenedPager { SocketPath = options.SocketPath, Sponsor = options.Borrowing.Names, Local = options.Local.ToString() };
            if (client is null)
            {
                for (long end = Environment.TickCount64 + (long)ComeTime.TotalMilliseconds; !pager.IsServing && Environment.TickCount64 < end && !_stop.Wait(LeftPollTime);)
                {
                }
            }
            else if (ServicePackets.Send(client, new ServiceAnswer { Opened = opened }))
            {
                Answer(client, pager);
            }

            // A program outlives a `heca run` that was killed.
            while (pager.IsServing && !_stop.Wait(LeftPollTime))
            {
            }

            if (client is null)
            {
                // Its `heca run` may be about to ask.
                _ = _stop.Wait(LingerTime);
            }

            Fold(job, pager);
            LogClosed(userName, options.SocketPath);
        }
    }

    /// <summary>Null where something is not as `heca run` writes it.</summary>
    private PagerOptions? OptionsFor(OpenRequest open, string folder, uint user, int? starter)
    {
        LocalBudget local = _options.Local;
        return (open.Local is null || LocalBudget.TryParse(open.Local, out local))
            && Enum.TryParse(open.Prefetch, ignoreCase: true, out PrefetchKind prefetch) && Enum.IsDefined(prefetch)
            && EvictionKinds.TryParse(open.Eviction, out EvictionKind eviction)
            && open.CaptureBytesMin > 0 && open.CaptureExcept is not null && open.StopAfterSeconds is >= 0 and <= 86_400
            ? new PagerOptions
            {
                Local = local,
                Prefetch = prefetch,
                Eviction = eviction,
                Clean = open.Clean,
                Transport = _options.Transport,
                Borrowing = _options.Borrowing,
                Capture = new CaptureRules { BytesMin = open.CaptureBytesMin, Except = open.CaptureExcept },
                SocketPath = Path.Combine(folder, "pager"),
                ManyPrograms = open.ManyPrograms,
                Owner = user,
                Starter = starter,
                StateFolder = folder,
                StopProgramAfter = TimeSpan.FromSeconds(open.StopAfterSeconds),
            }
            : null;
    }

    private void Fold(Job job, IPagerHost pager)
    {
        lock (_gate)
        {
            _ended = _ended.Plus(pager.Snapshot() with { SegmentBytes = 0, BudgetBytes = 0, ResidentBytes = 0, RemoteBytes = 0, WriteBackQueue = 0 });
            _endedLatencies.Add(LatenciesOf(pager));
            job.Pager = null;
        }
    }

    private static PagerFigures FiguresOf(IPagerHost pager) => new()
    {
        Snapshot = pager.Snapshot(),
        Latencies = LatenciesOf(pager).ToValues(),
        Programs = [.. pager.Programs],
        Failure = pager.Failure,
    };

    private static LatencyHistogram LatenciesOf(IPagerHost pager)
    {
        var latencies = new LatencyHistogram();
        pager.CopyLatencies(latencies);
        return latencies;
    }

    private static void Refuse(Socket? client, string why, int status) => _ = client is not null && ServicePackets.Send(client, new ServiceAnswer { Error = why, Status = status });

    [LoggerMessage(Level = LogLevel.Warning, Message = "Process {Process} of {User} was refused: --allow does not name its user")]
    private partial void LogNotAllowed(string user, int process);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Process {Process} of {User} sent a malformed request; its connection ends")]
    private partial void LogMalformed(string user, int process);

    [LoggerMessage(Level = LogLevel.Error, Message = "A program could not be served: {Reason}")]
    private partial void LogFailed(string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "There is no pager for {User} on {Path}: {Reason}")]
    private partial void LogNotOpened(string user, string path, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "A pager for {User} listens on {Path}, with {Local} of its program's memory here")]
    private partial void LogOpened(string user, string path, LocalBudget local);

    [LoggerMessage(Level = LogLevel.Information, Message = "The pager for {User} on {Path} has ended")]
    private partial void LogClosed(string user, string path);
}
