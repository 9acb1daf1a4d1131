using System.Net.Sockets;
using Hecatonchire.Interop;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;

namespace Hecatonchire.Service;

/// <summary>A program's pager in the host's service, as `heca run` sees it.</summary>
internal sealed class RemotePager : IPagerHost
{
    /// <summary>How long another service is waited for where one has died.</summary>
    private static readonly TimeSpan ReturnTime = TimeSpan.FromSeconds(5);

    private Socket _socket;
    private readonly string _service;
    private readonly Lock _gate = new();
    private bool _isGone;
    private PagerFigures _last = new()
    {
        Snapshot = new PagerSnapshot { Transport = "", TransportReason = "" },
        Latencies = [0, 0, 0],
        Programs = [],
        Failure = null,
    };

    private RemotePager(Socket socket, string service, OpenedPager opened) => (_socket, _service, Opened) = (socket, service, opened);

    public OpenedPager Opened { get; }

    public string SocketPath => Opened.SocketPath;

    /// <summary>Has the service start a pager. Throws <see cref="PagerStartException"/>.</summary>
    public static RemotePager Open(string service, OpenRequest request)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(service));
            if (!ServicePackets.Send(socket, new ServiceRequest { Open = request }) || !ServicePackets.Receive(socket, out ServiceAnswer? answer))
            {
                throw new PagerStartException($"the pager at {service} has ended the connection", 1);
            }

            return answer switch
            {
                { Opened: { } opened } => new RemotePager(socket, service, opened),
                { Error: { } why } => throw new PagerStartException(why, answer.Status),
                _ => throw new PagerStartException($"the pager at {service} answered what this heca does not know: not of the same build?", 1),
            };
        }
        catch (Exception e) when (e is SocketException or ArgumentException)
        {
            socket.Dispose();
            throw new PagerStartException($"no pager answers at {service} ({e.Message}): start `heca pager`, or name a sponsor with --sponsor", 1);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public PagerSnapshot Snapshot() => Ask().Snapshot;

    public void CopyLatencies(LatencyHistogram target) => (LatencyHistogram.FromValues(Ask().Latencies) ?? new LatencyHistogram()).CopyTo(target);

    public IReadOnlyList<int> Programs => Ask().Programs;

    public bool IsServing => Programs.Count > 0;

    public string? Failure => Ask().Failure;

    public IReadOnlyList<SegmentReport> Segments()
    {
        var segments = new List<SegmentReport>();
        IReadOnlyList<SegmentReport> part;
        do
        {
            part = AskAfterReturn(new ServiceRequest { SegmentsFrom = segments.Count })?.Segments ?? [];
            segments.AddRange(part);
        }
        while (part.Count == ServicePackets.SegmentsMax);
        return segments;
    }

    public string? ResizeSegment(Guid id, long bytes, SegmentChange change) =>
        AskAfterReturn(new ServiceRequest { Resize = new SegmentResize { Id = id.ToString("N"), Bytes = bytes, Change = change } }) is { Figures: null } answer
            ? answer.Error
            : $"the pager at {_service} does not answer, or is of an earlier version";

    /// <summary>Of the service that has taken another's place, where one has; null when there is none, or it ended meanwhile.</summary>
    private ServiceAnswer? AskAfterReturn(ServiceRequest request)
    {
        lock (_gate)
        {
            _ = Ask();
            return !_isGone && ServicePackets.Send(_socket, request) && ServicePackets.Receive(_socket, out ServiceAnswer? answer) ? answer : null;
        }
    }

    public void Dispose() => _socket.Dispose();

    /// <summary>The figures now; the last ones, and that the pager is gone, once it is.</summary>
    private PagerFigures Ask()
    {
        lock (_gate)
        {
            if (Ask(_socket, new ServiceRequest()) is { } figures)
            {
                return _last = figures;
            }

            for (long end = Environment.TickCount64 + (long)ReturnTime.TotalMilliseconds; !_isGone && Environment.TickCount64 < end; Thread.Sleep(50))
            {
                if (TryReturn() is { } again)
                {
                    return _last = again;
                }
            }

            _isGone = true;
            return _last = _last with { Programs = [], Failure = _last.Failure ?? $"the pager at {_service} has gone, and with it the program's memory that was on the sponsor" };
        }
    }

    /// <summary>Asks after the program at a service that has taken another's place; null while there is none.</summary>
    private PagerFigures? TryReturn()
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(_service));
            if (Ask(socket, new ServiceRequest { Attach = SocketPath }) is { } figures)
            {
                _socket.Dispose();
                _socket = socket;
                return figures;
            }
        }
        catch (SocketException)
        {
            // Nobody is there yet.
        }

        socket.Dispose();
        return null;
    }

    private static PagerFigures? Ask(Socket socket, ServiceRequest request) =>
        ServicePackets.Send(socket, request) && ServicePackets.Receive(socket, out ServiceAnswer? answer) ? answer?.Figures : null;
}
