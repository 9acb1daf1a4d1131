using System.Net;
using System.Net.Sockets;
using System.Runtime.ExceptionServices;
using Hecatonchire.Interop;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Serving;

/// <summary>
/// The sponsor's data plane over TCP: one thread that accepts, serves READ and WRITE out of slab memory, and looks for more
/// work for a while before it sleeps. Slab memory is touched on that thread only.
/// </summary>
internal sealed partial class DataServer : IServingLoop, IDisposable
{
    private const int ListenBacklog = 128;

    private readonly IPEndPoint _listen;
    private readonly DataServerOptions _options;
    private readonly ILogger<DataServer> _logger;
    private readonly ServingContext _context;
    private readonly RefusalLog _refusals;
    private readonly Lock _gate = new();
    private readonly Queue<Job> _jobs = new();
    private Thread? _thread;
    private bool _running;
    private bool _disposed;
    private volatile bool _stop;
    private volatile bool _jobsWaiting;
    private int _listener = -1;
    private int _epoll = -1;
    private int _wake = -1;

    private sealed class Job(Action action) : IDisposable
    {
        public readonly Action Action = action;
        public readonly ManualResetEventSlim Done = new();
        public ExceptionDispatchInfo? Failure;

        public void Dispose() => Done.Dispose();
    }

    public DataServer(
        IPEndPoint listen, Guid sponsorId, ISlabDirectory directory, DataServerOptions options, ILogger<DataServer> logger)
    {
        options.Validate();
        _listen = listen;
        _options = options;
        _logger = logger;
        _context = new ServingContext(directory, sponsorId, options.ConnectionsPerShareMax, options.IsShared);
        _refusals = new RefusalLog(logger);
        _connections = new ServingConnection?[options.ConnectionsMax];
        _active = new ServingConnection[options.ConnectionsMax];
    }

    public DataServerCounters Counters => _context.Counters;

    public int Port { get; private set; }

    /// <summary>Listens and starts the serving thread. Throws <see cref="IOException"/> with one line when it cannot listen.</summary>
    public void Start()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_thread is not null)
        {
            throw new InvalidOperationException("the data server was started already");
        }

        _listener = Listen(_listen, out int port);
        Port = port;
        _epoll = Check(Libc.EpollCreate(Libc.EPOLL_CLOEXEC), "epoll_create1");
        _wake = Check(Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK), "eventfd");
        if (!TryRegister(_listener, ListenerTag, Libc.EPOLLIN) || !TryRegister(_wake, WakeTag, Libc.EPOLLIN))
        {
            throw new IOException($"epoll_ctl failed: {Errno.Describe(Libc.Errno)}");
        }

        _running = true;
        _thread = new Thread(Run) { Name = "heca-data", IsBackground = true };
        _thread.Start();
        LogStarted(_logger, _listen.Address, Port);
    }

    public void RunBetweenRequests(Action action)
    {
        if (Thread.CurrentThread == _thread)
        {
            action();
            _jobsWaiting = true;
            return;
        }

        using Job job = new(action);
        lock (_gate)
        {
            if (!_running)
            {
                action();
                return;
            }

            _jobs.Enqueue(job);
            _jobsWaiting = true;

            // Inside the lock: while the loop runs, the descriptor is open.
            Wake();
        }

        job.Done.Wait();
        job.Failure?.Throw();
    }

    public void DropConnections(DemanderHandle demander) => RunBetweenRequests(() =>
    {
        // What lies unread in a socket is thrown away with it.
        foreach (ServingConnection? connection in _connections)
        {
            if (connection is { Phase: not ConnectionPhase.Closed } && connection.Serves(demander))
            {
                Close(connection);
            }
        }
    });

    /// <summary>Closes every connection and ends the thread. The actions of <see cref="RunBetweenRequests"/> run inline from then on.</summary>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _stop = true;
        if (_thread is not null)
        {
            Wake();
            _thread.Join();
            LogStopped(_logger);
        }

        foreach (int descriptor in (ReadOnlySpan<int>)[_listener, _wake, _epoll])
        {
            if (descriptor >= 0)
            {
                _ = Libc.Close(descriptor);
            }
        }

        foreach (ServingConnection? connection in _connections)
        {
            connection?.Dispose();
        }

        _context.Dispose();
    }

    /// <summary>The thread. An exception here is a bug that no caller can handle: it ends the process with its reason.</summary>
    private void Run()
    {
        try
        {
            Serve();
        }
#pragma warning disable CA1031 // the last resort of this thread
        catch (Exception failure)
#pragma warning restore CA1031
        {
            LogFailed(_logger, failure);
            Environment.FailFast("the data plane's serving thread failed", failure);
        }
    }

    private void RunJobs()
    {
        while (true)
        {
            Job? job;
            lock (_gate)
            {
                if (!_jobs.TryDequeue(out job))
                {
                    _jobsWaiting = false;
                    return;
                }
            }

            RunJob(job);
        }
    }

    private static void RunJob(Job job)
    {
        try
        {
            job.Action();
        }
#pragma warning disable CA1031 // handed to the caller
        catch (Exception failure)
#pragma warning restore CA1031
        {
            job.Failure = ExceptionDispatchInfo.Capture(failure);
        }

        job.Done.Set();
    }

    private unsafe void Wake()
    {
        ulong one = 1;
        _ = Libc.Write(_wake, &one, sizeof(ulong));
    }

    private static unsafe int Listen(IPEndPoint address, out int port)
    {
        bool six = address.AddressFamily == AddressFamily.InterNetworkV6;
        int descriptor = Check(
            Libc.NewSocket(
                six ? Libc.AF_INET6 : Libc.AF_INET, Libc.SOCK_STREAM | Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC, Libc.IPPROTO_TCP),
            "socket");
        Libc.SetSocketOption(descriptor, Libc.SOL_SOCKET, Libc.SO_REUSEADDR, 1);
        SocketAddress socketAddress = address.Serialize();
        fixed (byte* bytes = socketAddress.Buffer.Span)
        {
            uint length = (uint)socketAddress.Size;
            if (Libc.Bind(descriptor, bytes, length) != 0
                || Libc.Listen(descriptor, ListenBacklog) != 0
                || Libc.GetSocketName(descriptor, bytes, &length) != 0)
            {
                int errno = Libc.Errno;
                _ = Libc.Close(descriptor);
                throw new IOException($"cannot listen for data connections on {address}: {Errno.Describe(errno)}; {Remedy(errno)}");
            }
        }

        port = ((IPEndPoint)address.Create(socketAddress)).Port;
        return descriptor;
    }

    private static string Remedy(int errno) => errno switch
    {
        Errno.EADDRINUSE => "choose another --data-port (0 for any free one)",
        Errno.EADDRNOTAVAIL => "give --listen an address of this host (`ip address` lists them)",
        Errno.EACCES => "choose a --data-port from 1024 on",
        _ => "choose another --listen or --data-port",
    };

    private static int Check(int result, string call) =>
        result >= 0 ? result : throw new IOException($"{call} failed: {Errno.Describe(Libc.Errno)}");

    [LoggerMessage(Level = LogLevel.Information, Message = "Data plane listens on {Address} port {Port}")]
    private static partial void LogStarted(ILogger logger, IPAddress address, int port);

    [LoggerMessage(Level = LogLevel.Information, Message = "Data plane stopped")]
    private static partial void LogStopped(ILogger logger);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The serving thread of the data plane failed")]
    private static partial void LogFailed(ILogger logger, Exception failure);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Cannot accept data connections for now: {Why}")]
    private static partial void LogAcceptFailed(ILogger logger, string why);
}
