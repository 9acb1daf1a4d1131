using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Units;

namespace Hecatonchire.Control;

/// <summary>
/// A demander's side of the control channel to one sponsor. Any thread may ask; one thread of its own, "heca-control", holds
/// the socket, sends the heartbeats and notices when the sponsor falls silent. Requests wait for their answer and throw
/// <see cref="SponsorException"/>. Disposing frees no slabs: those not freed before are freed by the sponsor when it has
/// not heard of the demander for its gone-after time.
/// </summary>
internal sealed partial class SponsorClient : IDisposable
{
    private const int ProbeMsMax = 500;

    /// <summary>
    /// How soon <see cref="Reset"/> notices that the sponsor's process has ended. The pauses double: a sponsor that hangs accepts none of
    /// the probes, and its queue for them is short.
    /// </summary>
    private static readonly TimeSpan ProbeAfter = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan ProbePauseMax = TimeSpan.FromSeconds(1);

    private readonly string _host;
    private readonly int _port;
    private readonly Guid _demander;
    private readonly string _name;
    private readonly SponsorClientOptions _options;
    private readonly ZmqContext _context;
    private readonly string _publicKey;
    private readonly WakeSignal _wake = new();
    private readonly ConcurrentQueue<Pending> _outbox = new();
    private readonly ConcurrentDictionary<ulong, long> _slabs = new();
    private readonly Thread _thread;

    // Replaced on the client's thread, when the key is another.
    private ZmqSocket _socket;
    private CurveKeyPair _keys;
    private ulong _lastId;
    private int _disposed;
    private volatile bool _stop;

    private SponsorClient(string host, int port, string publicKey, Guid demander, string name, SponsorClientOptions options)
    {
        _host = host;
        _port = port;
        _demander = demander;
        _name = Shorten(name);
        _options = options;
        _publicKey = publicKey;
        _context = ZmqContext.Create();
        try
        {
            // To a sponsor that knows no demanders' keys its own public key is what admits, and any pair will do.
            _keys = options.Key?.Load() ?? CurveKeyPair.Create();
            _socket = OpenSocket();
        }
        catch (Exception failure) when (failure is ZmqException or IOException)
        {
            _context.Dispose();
            _wake.Dispose();
            throw failure is ZmqException
                ? new SponsorException(SponsorErrorCode.Unreachable, $"{failure.Message}: check the sponsor's HOST:PORT")
                : new SponsorException(SponsorErrorCode.Refused, failure.Message);
        }

        _lastAnswer = Stopwatch.GetTimestamp();
        _thread = new Thread(Run) { Name = "heca-control", IsBackground = true };
    }

    public Guid Demander => _demander;

    /// <summary>What the sponsor said of itself at the first hello.</summary>
    public HelloAnswer Hello { get; private set; } = null!;

    /// <summary>False when the sponsor has been silent for too long, or has lost what it lent.</summary>
    public bool IsAlive => Failure is null;

    /// <summary>One line that says why <see cref="IsAlive"/> is false; null while all is well.</summary>
    public string? Failure => _lost ?? _silent;

    /// <summary>Raised on the client's thread each time <see cref="IsAlive"/> becomes false, with <see cref="Failure"/>.</summary>
    public event Action<string>? Lost;

    /// <summary>
    /// Connects and says hello. <paramref name="publicKeyZ85"/> is the sponsor's CURVE key (40 characters, its file
    /// sponsor.public). Throws <see cref="SponsorException"/> when no sponsor answers within <paramref name="timeout"/> or it
    /// refuses, and <see cref="ZmqUnavailableException"/> on a host without libzmq.
    /// </summary>
    public static SponsorClient Connect(
        string host, int port, string publicKeyZ85, Guid demanderId, string name, TimeSpan timeout) =>
        Connect(host, port, publicKeyZ85, demanderId, name, new SponsorClientOptions { RequestTimeout = timeout });

    /// <inheritdoc cref="Connect(string, int, string, Guid, string, TimeSpan)"/>
    public static SponsorClient Connect(
        string host, int port, string publicKeyZ85, Guid demanderId, string name, SponsorClientOptions options)
    {
        if (!CurveKeyPair.IsKey(publicKeyZ85))
        {
            throw new SponsorException(
                SponsorErrorCode.Refused,
                $"the public key for sponsor {host}:{port} is not one: expected the {CurveKeyPair.Z85Length} characters of its sponsor.public");
        }

        SponsorClient client = new(host, port, publicKeyZ85, demanderId, name, options);
        try
        {
            client._thread.Start();
            client.Hello = client.Ask<HelloAnswer>(id => new HelloRequest(id, demanderId, client._name));
            return client.Hello.PageSize == PageSize.Bytes
                ? client
                : throw client.Error(
                    SponsorErrorCode.Version, $"has pages of {client.Hello.PageSize} bytes; this demander needs {PageSize.Bytes}");
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    /// <summary>Borrows a slab: a power of two of bytes between the limits in <see cref="Hello"/>.</summary>
    public SlabEntry AllocateSlab(long bytes, TimeSpan? timeout = null)
    {
        AllocateAnswer answer = Ask<AllocateAnswer>(id => new AllocateRequest(id, bytes), timeout);
        return new SlabEntry(answer.Slab, answer.Bytes);
    }

    /// <summary>Gives a slab back. Its contents are gone; a request on it that is under way ends the data connection.</summary>
    public void FreeSlab(ulong slab, TimeSpan? timeout = null) => Ask<FreeAnswer>(id => new FreeRequest(id, slab), timeout);

    /// <summary>Where a slab is in the sponsor's memory and the key that opens it to RDMA connections of the domain.</summary>
    public (ulong Address, uint Key) RequestKey(ulong slab, uint domain)
    {
        KeyAnswer answer = Ask<KeyAnswer>(id => new KeyRequest(id, slab, domain));
        return (answer.Address, answer.Key);
    }

    /// <summary>A token that opens one data connection.</summary>
    public DataToken RequestToken()
    {
        TokenAnswer answer = Ask<TokenAnswer>(id => new TokenRequest(id));
        return new DataToken(answer.Token, answer.DataPort, TimeSpan.FromMilliseconds(answer.ValidMs));
    }

    /// <summary>
    /// Ends every data connection of this demander and voids its tokens: what was sent over them takes effect before this returns, or never.
    /// Throws <see cref="SponsorErrorCode.Lost"/> as soon as nobody listens any more where the sponsor was, or another than it was.
    /// </summary>
    public void Reset(TimeSpan timeout, CancellationToken stop) =>
        Ask<ResetAnswer>(id => new ResetRequest(id), pending => WaitForSponsor(pending, timeout, stop));

    /// <summary>The slabs that the sponsor holds for this demander.</summary>
    public IReadOnlyList<SlabEntry> ListSlabs(TimeSpan? timeout = null) => Ask<ListAnswer>(id => new ListRequest(id), timeout).Slabs;

    public StatsAnswer Stats(TimeSpan? timeout = null) => Ask<StatsAnswer>(id => new StatsRequest(id), timeout);

    /// <summary>Sets how much it offers. Throws <see cref="SponsorErrorCode.Refused"/> where <paramref name="adminKey"/> is not its own.</summary>
    public OfferAnswer Offer(long bytes, byte[] adminKey) => Ask<OfferAnswer>(id => new OfferRequest(id, bytes, adminKey));

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _stop = true;
        _wake.Set();
        if (_thread.IsAlive && Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }

        _socket.Dispose();
        _context.Dispose();
        _wake.Dispose();
    }

    private ZmqSocket OpenSocket()
    {
        ZmqSocket socket = ZmqSocket.CreateDealer(_context, _keys, _publicKey);
        try
        {
            socket.Connect(_host, _port);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private T Ask<T>(Func<ulong, ControlRequest> make, TimeSpan? timeout = null)
        where T : ControlAnswer => Ask<T>(make, pending => pending.Wait(timeout ?? _options.RequestTimeout) || pending.Abandon());

    /// <summary><paramref name="wait"/> returns false when it has abandoned the request.</summary>
    private T Ask<T>(Func<ulong, ControlRequest> make, Func<Pending, bool> wait)
        where T : ControlAnswer
    {
        ObjectDisposedException.ThrowIf(_stop, this);
        if (_lost is { } lost)
        {
            throw new SponsorException(SponsorErrorCode.Lost, lost);
        }

        Pending pending = new(make(Interlocked.Increment(ref _lastId)), handler: null);
        _outbox.Enqueue(pending);
        _wake.Set();
        if (!wait(pending))
        {
            _wake.Set();
        }

        return pending.Answer switch
        {
            T answer => answer,
            ErrorAnswer error => throw ErrorFrom(error),
            null when _lost is { } why => throw new SponsorException(SponsorErrorCode.Lost, why),
            null when _stop => throw new ObjectDisposedException(nameof(SponsorClient)),
            null => throw NoAnswer(),
            _ => throw Error(SponsorErrorCode.Version, $"answered {pending.Request.Type} with {pending.Answer.Type}"),
        };
    }

    /// <summary>Waits, and looks in between whether there still is a sponsor: ZeroMQ does not tell.</summary>
    private bool WaitForSponsor(Pending pending, TimeSpan timeout, CancellationToken stop)
    {
        long start = Stopwatch.GetTimestamp();
        for (TimeSpan pause = ProbeAfter; !pending.Wait(pause); pause = pause < ProbePauseMax ? pause * 2 : ProbePauseMax)
        {
            bool isGone = Probe() == SocketError.ConnectionRefused;
            if (isGone || stop.IsCancellationRequested || Stopwatch.GetElapsedTime(start) > timeout)
            {
                _ = pending.Abandon();
                return isGone ? throw Error(SponsorErrorCode.Lost, "has ended: nothing listens there any more") : false;
            }
        }

        return true;
    }

    private SponsorException ErrorFrom(ErrorAnswer error) => error.Code switch
    {
        ErrorCode.NotAllowed => Error(SponsorErrorCode.Refused, $"does not allow it: {error.Message}"),
        ErrorCode.NotTrusted when _options.Key is null => Error(
            SponsorErrorCode.NotTrusted, "serves only keys that it trusts, and this demander has none of its own: make one with heca key new, and have the sponsor's operator trust it"),
        ErrorCode.NotTrusted => Error(
            SponsorErrorCode.NotTrusted, $"does not trust the key in {_options.Key.Path}: {error.Message}; its operator can, with heca key trust NAME '{_keys.PublicZ85}'"),
        ErrorCode.Quota => Error(SponsorErrorCode.Full, $"lends no more to this demander's key: {error.Message}; have its operator raise the quota, or use another sponsor"),
        ErrorCode.Full => Error(SponsorErrorCode.Full, $"is full: {error.Message}; give it more --memory or use another sponsor"),
        ErrorCode.Version => Error(SponsorErrorCode.Version, $"speaks another protocol: {error.Message}; update the older of the two"),
        ErrorCode.NoSuchSlab => Error(SponsorErrorCode.NoSuchSlab, error.Message),
        ErrorCode.NoSuchDomain => Error(SponsorErrorCode.NoSuchDomain, error.Message),
        ErrorCode.Stopping => Error(SponsorErrorCode.Stopping, "is stopping"),
        _ => Error(SponsorErrorCode.Refused, $"refused a request ({error.Code}): {error.Message}"),
    };

    private SponsorException NoAnswer()
    {
        string silence = $"did not answer within {_options.RequestTimeout.TotalSeconds:0.###} s";
        string why = Hello is not null
            ? "it hangs, was stopped, or the network between is down"
            : Probe() switch
            {
                null => "something listens there, so either the public key is not this sponsor's (compare its sponsor.public), or it is no heca-sponsor",
                SocketError.HostNotFound or SocketError.NoData or SocketError.TryAgain => "there is no host of this name; check it, or give the address",
                SocketError.ConnectionRefused => "no sponsor is running there; start heca-sponsor, or check the port",
                _ => "the host is down, or a firewall is between",
            };
        return Error(SponsorErrorCode.Unreachable, $"{silence}: {why}");
    }

    private SponsorException Error(SponsorErrorCode code, string what) => new(code, $"sponsor {_host}:{_port} {what}");

    /// <summary>A wrong key looks like silence in ZeroMQ; what TCP says of the port tells the two apart for the message. Null where it answers.</summary>
    private SocketError? Probe()
    {
        using TcpClient probe = new();
        try
        {
            return probe.ConnectAsync(_host, _port).Wait(ProbeMsMax) ? null : SocketError.TimedOut;
        }
        catch (AggregateException failure)
        {
            return (failure.InnerException as SocketException)?.SocketErrorCode ?? SocketError.SocketError;
        }
    }

    private static string Shorten(string name)
    {
        while (Encoding.UTF8.GetByteCount(name) > ControlProtocol.NameBytesMax)
        {
            name = name[..^1];
        }

        return name;
    }
}
