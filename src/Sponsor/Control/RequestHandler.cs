using System.Security.Cryptography;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.Messages;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Slabs;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Control;

/// <summary>
/// What the sponsor answers: a frame and the connection it came on, in; an answer, out. Used by the control thread only.
/// </summary>
internal sealed partial class RequestHandler(
    ControlServerOptions options,
    SlabStoreOptions slabs,
    SlabStore store,
    IServingLoop serving,
    DataServerCounters served,
    TimeProvider time,
    ILogger<RequestHandler> logger,
    TrustedKeys? trust = null)
{
    private static readonly string[] TcpOnly = ["tcp"];
    private static readonly string[] TcpAndRdma = ["tcp", "rdma"];

    private readonly Dictionary<string, Session> _sessions = [];
    private readonly LogBudget _refusalLog = new(time);
    private volatile bool _isStopping;
    private long _served;
    private long _refused;

    /// <summary>Who spoke on a connection (a ZeroMQ identity) with which key, and when last.</summary>
    private sealed class Session(Guid demander, string? key)
    {
        public readonly Guid Demander = demander;
        public readonly string? Key = key;
        public bool IsObserver => Demander == Guid.Empty;
        public long LastSeen;
    }

    /// <summary>Set: every request is answered `stopping`.</summary>
    public bool IsStopping
    {
        get => _isStopping;
        set => _isStopping = value;
    }

    /// <summary>Requests answered, errors included.</summary>
    public long Served => Interlocked.Read(ref _served);

    /// <summary>Connections that have said hello and are not forgotten. Of interest to the control thread; others see a recent value.</summary>
    public int SessionCount => _sessions.Count;

    /// <summary>Requests answered with an error.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    /// <summary>The answer to send to a connection that has proved to have <paramref name="key"/>; null for what is no control message.</summary>
    public ControlAnswer? Handle(ReadOnlySpan<byte> identity, ReadOnlyMemory<byte> frame, string? key = null)
    {
        DecodedRequest decoded = RequestDecoder.Decode(frame);
        if (decoded.IsDropped)
        {
            return null;
        }

        TrustEntry? who = null;
        ControlAnswer answer = trust?.Distrust(key, out who) is { } why
            ? new ErrorAnswer(decoded.Request?.Id ?? decoded.Refusal!.Id, ErrorCode.NotTrusted, why)
            : decoded.Refusal ?? Answer(Convert.ToHexString(identity), decoded.Request!, key, who);
        Interlocked.Increment(ref _served);
        if (answer is ErrorAnswer error)
        {
            Interlocked.Increment(ref _refused);
            if (_refusalLog.TryTake(out _))
            {
                LogRefused(decoded.Request?.Type ?? "request", key, error.Code, error.Message);
            }
        }

        return answer;
    }

    /// <summary>Forgets connections that are silent for the gone-after time; ZeroMQ does not say when one ends.</summary>
    public void ForgetSilentSessions()
    {
        foreach ((string identity, Session session) in _sessions)
        {
            if (time.GetElapsedTime(session.LastSeen) > options.GoneAfter)
            {
                _sessions.Remove(identity);
            }
        }
    }

    private ControlAnswer Answer(string identity, ControlRequest request, string? key, TrustEntry? who)
    {
        if (IsStopping)
        {
            return new ErrorAnswer(request.Id, ErrorCode.Stopping, "the sponsor is stopping");
        }

        if (request is HelloRequest hello)
        {
            return Greet(identity, hello, key, who);
        }

        // An identity is what a peer says it is: one that has another key than who said hello with it is another.
        if (!_sessions.TryGetValue(identity, out Session? session) || session.Key != key || (!session.IsObserver && !store.Touch(session.Demander, key, who)))
        {
            return new ErrorAnswer(request.Id, ErrorCode.HelloFirst, "this connection has not said hello, or was forgotten");
        }

        session.LastSeen = time.GetTimestamp();
        return session.IsObserver && request is not (StatsRequest or OfferRequest or HeartbeatRequest)
            ? new ErrorAnswer(request.Id, ErrorCode.NotAllowed, "an observer borrows nothing: say hello with an id")
            : Answer(session.Demander, request);
    }

    private ControlAnswer Answer(Guid demander, ControlRequest request)
    {
        switch (request)
        {
            case TokenRequest:
                return new TokenAnswer(
                    request.Id, store.MakeToken(demander)!, serving.Port, (long)slabs.TokenValid.TotalMilliseconds);
            case AllocateRequest allocate:
                return store.TryAllocate(demander, allocate.Bytes, out SlabEntry entry) is { } refusal
                    ? Error(request, refusal)
                    : new AllocateAnswer(request.Id, entry.Slab, entry.Bytes);
            case FreeRequest free:
                return store.Free(demander, free.Slab) is { } unknown ? Error(request, unknown) : new FreeAnswer(request.Id);
            case KeyRequest key:
                return store.Expose(demander, key.Slab, key.Domain, out ulong address, out uint remoteKey) is { } closed
                    ? Error(request, closed)
                    : new KeyAnswer(request.Id, address, remoteKey);
            case ResetRequest:
                store.Reset(demander);
                return new ResetAnswer(request.Id);
            case ListRequest:
                return new ListAnswer(request.Id, store.List(demander));
            case StatsRequest:
                return Stats(request.Id, demander);
            case OfferRequest offer:
                return Offer(offer);
            default:
                return new HeartbeatAnswer(request.Id);
        }
    }

    private ControlAnswer Greet(string identity, HelloRequest hello, string? key, TrustEntry? who)
    {
        if (_sessions.TryGetValue(identity, out Session? session) && (session.Demander != hello.Demander || session.Key != key))
        {
            return new ErrorAnswer(hello.Id, ErrorCode.BadRequest, "this connection said hello as another demander before");
        }

        if (session is null && _sessions.Count >= options.SessionsMax)
        {
            return new ErrorAnswer(hello.Id, ErrorCode.Full, $"it has {options.SessionsMax} control connections and takes no more");
        }

        if (hello.Demander != Guid.Empty && store.Greet(hello.Demander, hello.Name, key, who) is { } refusal)
        {
            return Error(hello, refusal);
        }

        session ??= _sessions[identity] = new Session(hello.Demander, key);
        session.LastSeen = time.GetTimestamp();
        return new HelloAnswer(hello.Id)
        {
            Sponsor = options.SponsorId,
            Instance = options.Instance,
            PageSize = PageSize.Bytes,
            DataPort = serving.Port,
            OfferedBytes = store.OfferedBytes,
            FreeBytes = store.FreeBytesFor(hello.Demander),
            SlabBytesMin = slabs.SlabBytesMin,
            SlabBytesMax = slabs.SlabBytesMax,
            GoneAfterMs = (long)options.GoneAfter.TotalMilliseconds,
            Transports = store.RemotePort > 0 ? TcpAndRdma : TcpOnly,
            RdmaPort = store.RemotePort,
            Labels = options.Labels,
            Cluster = options.Cluster(),
        };
    }

    private ControlAnswer Offer(OfferRequest offer)
    {
        if (!CryptographicOperations.FixedTimeEquals(offer.Key, options.AdminKey))
        {
            return new ErrorAnswer(offer.Id, ErrorCode.NotAllowed, $"this is not the key in its {SponsorKeys.AdminFile}");
        }

        store.Offer(offer.Bytes);
        LogOffer(new ByteSize(offer.Bytes), new ByteSize(store.LentBytes));
        return new OfferAnswer(offer.Id, store.OfferedBytes, store.LentBytes);
    }

    /// <summary>As an observer is told. From any thread.</summary>
    public StatsAnswer Stats() => Stats(0, Guid.Empty);

    private StatsAnswer Stats(ulong id, Guid demander) => new(id)
    {
        OfferedBytes = store.OfferedBytes,
        LentBytes = store.LentBytes,
        FreeBytes = store.FreeBytesFor(demander),
        Demanders = store.DemanderCount,
        DataConnections = store.DataConnections,
        PagesRead = Volatile.Read(ref served.PagesRead),
        PagesWritten = Volatile.Read(ref served.PagesWritten),
        RequestsRefused = served.RefusedInAll() + Refused,
        ReclaimBytes = store.ReclaimBytes(demander),
    };

    private static ErrorAnswer Error(ControlRequest request, Refusal refusal) => new(request.Id, refusal.Code, refusal.Message);

    [LoggerMessage(Level = LogLevel.Information, Message = "Told to offer {Offered}; {Lent} is lent")]
    private partial void LogOffer(ByteSize offered, ByteSize lent);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Refused {Type} of key {Key}: {Code}, {Message}")]
    private partial void LogRefused(string type, string? key, string code, string message);
}
