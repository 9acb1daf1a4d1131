using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Reconnecting;

/// <summary>What a step of a <see cref="DataLink"/> came to, and so when the next is due.</summary>
internal enum LinkStep
{
    /// <summary>Nothing to do until a connection ends.</summary>
    Idle,

    /// <summary>A connection is still with its user.</summary>
    Recalling,

    /// <summary>An attempt failed; the next is due after the pause.</summary>
    Failed,

    /// <summary>All connections are new.</summary>
    Rebuilt,

    /// <summary>There will be no other attempt.</summary>
    GivenUp,
}

/// <summary>
/// The data connections to one sponsor, which are rebuilt together where one ends and the sponsor lives: the fence between what was sent over the
/// old ones and what is sent over the new ones closes them all. A thread of its own, "heca-link", does what may wait; the users of the
/// connections only hand them over. One link at a time per demander: its fence would end another's connections.
/// </summary>
internal sealed unsafe class DataLink : IDisposable
{
    private readonly IDataConnectionFactory _factory;
    private readonly DataLinkOptions _options;
    private readonly TimeProvider _time;
    private readonly ReconnectingDataConnection[] _connections;
    private readonly CancellationTokenSource _stop = new();
    private readonly int _wake = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);

    /// <summary>Per connection: the first break of those since which nothing has completed over it although something was in flight.</summary>
    private readonly long[] _stalledSince;
    private Thread? _thread;
    private volatile bool _isRebuilding;
    private bool _hasFailed;
    private string _why = "";
    private string _lastFailure = "";
    private long _brokenSince;
    private long _rebuilds;
    private bool _isDisposed;

    /// <summary>Opens so many connections. Throws <see cref="DataConnectionException"/>.</summary>
    public DataLink(IDataConnectionFactory factory, int connections, DataLinkOptions options, TimeProvider time)
    {
        (_factory, _options, _time) = (factory, options, time);
        _stalledSince = new long[connections];
        _connections = new ReconnectingDataConnection[connections];
        IDataConnection?[] opened = new IDataConnection?[connections];
        try
        {
            OpenAll(opened);
        }
        catch
        {
            DisposeAll(opened);
            _stop.Dispose();
            _ = Libc.Close(_wake);
            throw;
        }

        for (int i = 0; i < connections; i++)
        {
            _connections[i] = new ReconnectingDataConnection(opened[i]!, this);
        }
    }

    /// <summary>One of the connections; its user is one thread.</summary>
    public ReconnectingDataConnection this[int index] => _connections[index];

    /// <summary>True while there are no connections: the sponsor does not answer, or not yet.</summary>
    public bool IsRebuilding => _isRebuilding;

    /// <summary>How often the connections were made anew.</summary>
    public long Rebuilds => Interlocked.Read(ref _rebuilds);

    /// <summary>On the link's thread: the first attempt at rebuilding has failed, for this reason; more follow.</summary>
    public Action<string>? OnDelayed { get; init; }

    /// <summary>On the link's thread: the connections are new; why the old ones ended, and how long ago that was noticed.</summary>
    public Action<string, TimeSpan>? OnRebuilt { get; init; }

    /// <summary>Starts the thread. Without it, who calls <see cref="Step"/> is the link's thread.</summary>
    public void Start()
    {
        _thread = new Thread(Run) { Name = "heca-link", IsBackground = true };
        _thread.Start();
    }

    /// <summary>A connection has something for the link. By any thread; does not wait.</summary>
    public void Notify()
    {
        ulong one = 1;
        _ = Libc.Write(_wake, &one, sizeof(ulong));
    }

    /// <summary>Ends the connections with the link. Their users have ended, or are the caller.</summary>
    public void Dispose()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        _stop.Cancel();
        Notify();
        _thread?.Join();
        foreach (ReconnectingDataConnection connection in _connections)
        {
            connection.Close();
        }

        _stop.Dispose();
        _ = Libc.Close(_wake);
    }

    private void Run()
    {
        while (!_stop.IsCancellationRequested)
        {
            LinkStep step = Step();
            PollDescriptor wait = new() { Descriptor = _wake, Events = Libc.POLLIN };
            if (Libc.Poll(&wait, 1, step == LinkStep.Failed ? (int)_options.RetryPause.TotalMilliseconds : -1) > 0)
            {
                ulong drained;
                _ = Libc.Read(_wake, &drained, sizeof(ulong));
            }
        }
    }

    /// <summary>Does what is due now: nothing, a recall, or one attempt at rebuilding, which may take as long as the factory does.</summary>
    internal LinkStep Step()
    {
        if (!_connections.Any(connection => connection.IsDetached))
        {
            // What was refused is of no more use; what is whole goes on.
            DisposeRetired();
            return LinkStep.Idle;
        }

        if (!_connections.Aggregate(true, (all, connection) => connection.Recall() && all))
        {
            return LinkStep.Recalling;
        }

        if (!_isRebuilding)
        {
            Begin();
        }

        if (_connections.Any(connection => connection.IsGivenUp))
        {
            return GiveUp(_why);
        }

        TimeSpan left = _options.GiveUpAfter - _stalledSince.Max(since => _time.GetElapsedTime(since));
        return left > TimeSpan.Zero
            ? Attempt(left)
            : GiveUp($"{_why}; nothing could be done about it within {_options.GiveUpAfter.TotalSeconds:0.###} s{_lastFailure}");
    }

    private void Begin()
    {
        _isRebuilding = true;
        _hasFailed = false;
        _lastFailure = "";
        _brokenSince = _time.GetTimestamp();
        _why = _connections.Select(connection => connection.BreakReason).FirstOrDefault(reason => reason is not null)
            ?? "a data connection has ended";
        for (int i = 0; i < _connections.Length; i++)
        {
            if (!_connections[i].IsStalled)
            {
                _stalledSince[i] = _brokenSince;
            }
        }
    }

    private LinkStep Attempt(TimeSpan left)
    {
        IDataConnection?[] opened = new IDataConnection?[_connections.Length];
        try
        {
            _factory.Fence(left, _stop.Token);

            // Not before the sponsor has answered: ending a connection over RDMA sends a farewell, and one that meets a card that is down leaves
            // soft RoCE's queue for such messages in error for good, and this host without another connection.
            DisposeRetired();
            OpenAll(opened);
            for (int i = 0; i < opened.Length; i++)
            {
                _connections[i].Prepare(opened[i]!);
            }
        }
        catch (DataConnectionException failure)
        {
            DisposeAll(opened);
            return failure.Failure == DataConnectionFailure.Lost ? GiveUp(failure.Message) : Fail(failure.Message);
        }

        // Counted before they are used: who has seen the new ones work finds them counted.
        Interlocked.Increment(ref _rebuilds);
        for (int i = 0; i < opened.Length; i++)
        {
            _connections[i].Offer(opened[i]!);
        }

        _isRebuilding = false;
        OnRebuilt?.Invoke(_why, _time.GetElapsedTime(_brokenSince));
        return LinkStep.Rebuilt;
    }

    private LinkStep Fail(string why)
    {
        _lastFailure = $": {why}";
        if (!_hasFailed)
        {
            _hasFailed = true;
            OnDelayed?.Invoke(why);
        }

        return LinkStep.Failed;
    }

    private LinkStep GiveUp(string why)
    {
        // Before their users are told, who then use the buffers for something else.
        DisposeRetired();
        foreach (ReconnectingDataConnection connection in _connections)
        {
            connection.GiveUp(why);
        }

        return LinkStep.GivenUp;
    }

    private void OpenAll(IDataConnection?[] opened)
    {
        for (int i = 0; i < opened.Length; i++)
        {
            opened[i] = _factory.Open();
        }
    }

    private void DisposeRetired()
    {
        foreach (ReconnectingDataConnection connection in _connections)
        {
            connection.DisposeRetired();
        }
    }

    private static void DisposeAll(IDataConnection?[] opened)
    {
        foreach (IDataConnection? connection in opened)
        {
            connection?.Dispose();
        }
    }
}
