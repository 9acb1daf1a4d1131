using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using Hecatonchire.Interop;
using Hecatonchire.Transport.Rdma;
using Hecatonchire.Transport.Tcp;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Serving.Rdma;

/// <summary>
/// The sponsor's data plane over RDMA. Its one thread only makes and ends connections: READs and WRITEs are between the devices, and
/// this process does nothing for them. A demander that vanished with its host says nothing, so each connection is asked for a
/// sign of life, an empty WRITE, which the demander's device answers even where its program is stopped.
/// </summary>
internal sealed unsafe partial class RdmaServer : IRemoteMemory, IDisposable
{
    private const int ListenBacklog = 128;

    /// <summary>An idle network's price for finding the dead: a packet there and back.</summary>
    private const int ProbeMs = 5_000;

    /// <summary>READs answered at a time in one queue.</summary>
    private const uint ReadsMax = 32;

    private readonly IPEndPoint _listen;
    private readonly Guid _sponsorId;
    private readonly ISlabDirectory _directory;
    private readonly DataServerOptions _options;
    private readonly DataServerCounters _counters;
    private readonly RefusalLog _refusals;
    private readonly ILogger<RdmaServer> _logger;
    private readonly Dictionary<nint, Connection> _connections = [];

    /// <summary>Over everything below; held during calls of the library, none of which waits for a peer.</summary>
    private readonly Lock _gate = new();
    private Thread? _thread;
    private nint _channel;
    private int _channelDescriptor;
    private nint _listener;
    private int _wake = -1;
    private long _nextProbe = long.MaxValue;
    private volatile bool _stop;

    private sealed class Connection(nint id, DemanderHandle demander, Domain domain, RdmaQueue* queue)
    {
        public readonly nint Id = id;
        public readonly DemanderHandle Demander = demander;
        public readonly Domain Domain = domain;
        public readonly RdmaQueue* Queue = queue;

        /// <summary>An empty WRITE is under way.</summary>
        public bool IsProbed;
    }

    public RdmaServer(IPEndPoint listen, Guid sponsorId, ISlabDirectory directory, DataServerOptions options,
        DataServerCounters counters, ILogger<RdmaServer> logger)
    {
        (_listen, _sponsorId, _directory, _options, _counters, _logger) = (listen, sponsorId, directory, options, counters, logger);
        _refusals = new RefusalLog(logger);
    }

    public int Port { get; private set; }

    public int ConnectionsOpen
    {
        get
        {
            lock (_gate)
            {
                return _connections.Count;
            }
        }
    }

    /// <summary>Listens and starts the thread; null, or one line that says why this host offers no RDMA, and the remedy.</summary>
    public string? Start()
    {
        if (IPAddress.IsLoopback(_listen.Address))
        {
            return $"it listens on {_listen.Address}, and RDMA devices do not serve loopback: give --listen an address of a device's network";
        }

        if (RdmaHost.Missing() is { } missing)
        {
            return missing;
        }

        if (TryListen() is { } failure)
        {
            Close();
            return failure;
        }

        _wake = Libc.EventDescriptor(0, Libc.EFD_CLOEXEC | Libc.EFD_NONBLOCK);
        _thread = new Thread(Run) { Name = "heca-rdma", IsBackground = true };
        _thread.Start();
        LogStarted(_logger, _listen.Address, Port);
        return null;
    }

    public void Dispose()
    {
        _stop = true;
        if (_thread is not null)
        {
            ulong one = 1;
            _ = Libc.Write(_wake, &one, sizeof(ulong));
            _thread.Join();
            _thread = null;
        }

        Close();
    }

    private string? TryListen()
    {
        fixed (nint* channel = &_channel, listener = &_listener)
        fixed (int* descriptor = &_channelDescriptor)
        {
            int status = RdmaLibrary.OpenChannel(channel, descriptor);
            if (status < 0)
            {
                return $"the connection manager is not there ({Errno.Describe(-status)}): modprobe rdma_ucm";
            }

            // As the TCP port where it is free, so that a firewall has one number to know; RDMA's ports are of another space.
            foreach (int port in (ReadOnlySpan<int>)[_listen.Port, 0])
            {
                status = RdmaLibrary.OpenId(_channel, listener);
                if (status < 0)
                {
                    return $"the connection manager gives no id: {Errno.Describe(-status)}";
                }

                fixed (byte* bytes = new IPEndPoint(_listen.Address, port).Serialize().Buffer.Span)
                {
                    status = RdmaLibrary.Listen(_listener, bytes, ListenBacklog);
                }

                if (status == 0)
                {
                    Port = RdmaLibrary.Port(_listener);
                    return null;
                }

                RdmaLibrary.CloseId(_listener, null);
                _listener = 0;
            }

            return status == -Errno.ENODEV
                ? $"no RDMA device works over {_listen.Address} (`rdma link` names their interfaces)"
                : $"cannot listen for RDMA on {_listen.Address}: {Errno.Describe(-status)}";
        }
    }

    /// <summary>The thread. An exception here is a bug that no caller can handle: it ends the process with its reason.</summary>
    private void Run()
    {
        try
        {
            PollDescriptor* waits = stackalloc PollDescriptor[2];
            while (!_stop)
            {
                waits[0] = new PollDescriptor { Descriptor = _channelDescriptor, Events = Libc.POLLIN };
                waits[1] = new PollDescriptor { Descriptor = _wake, Events = Libc.POLLIN };
                _ = Libc.Poll(waits, 2, ConnectionsOpen > 0 ? ProbeMs : -1);
                TakeEvents();
                long now = Stopwatch.GetTimestamp();
                if (now >= _nextProbe)
                {
                    Probe();
                    _nextProbe = now + (ProbeMs * Stopwatch.Frequency / 1000);
                }
            }
        }
#pragma warning disable CA1031 // the last resort of this thread
        catch (Exception failure)
#pragma warning restore CA1031
        {
            LogFailed(_logger, failure);
            Environment.FailFast("the RDMA thread failed", failure);
        }
    }

    private void TakeEvents()
    {
        RdmaEvent received;
        while (RdmaLibrary.NextEvent(_channel, &received) > 0)
        {
            lock (_gate)
            {
                switch (received.Kind)
                {
                    case RdmaEventKind.ConnectRequest:
                        Answer(&received);
                        break;
                    case RdmaEventKind.Disconnected or RdmaEventKind.Failed or RdmaEventKind.Rejected:
                        Close(received.Id);
                        break;
                    case RdmaEventKind.DeviceRemoved:
                        LoseDevice(received.Id);
                        break;
                }
            }
        }
    }

    private void Answer(RdmaEvent* request)
    {
        WireStatus refusal = Check(request, out DemanderHandle demander, out string why);
        if (refusal == WireStatus.Ok)
        {
            why = Accept(request, demander) ?? "";
            refusal = why.Length == 0 ? WireStatus.Ok : WireStatus.Busy;
        }

        if (refusal != WireStatus.Ok)
        {
            RefusalReason reason = refusal switch
            {
                WireStatus.Malformed => RefusalReason.Malformed,
                WireStatus.Version => RefusalReason.Version,
                WireStatus.Token => RefusalReason.Token,
                _ => RefusalReason.TooManyConnections,
            };
            _counters.CountRefusal(reason);
            _refusals.Write(reason, why, "RDMA", Stopwatch.GetTimestamp());
            RdmaWelcome welcome = Welcome(refusal, 0);
            _ = RdmaLibrary.Reject(request->Id, &welcome, RdmaWelcome.Bytes);
            RdmaLibrary.CloseId(request->Id, null);
        }
    }

    private WireStatus Check(RdmaEvent* request, out DemanderHandle demander, out string why)
    {
        demander = default;
        RdmaHello* hello = (RdmaHello*)request->PrivateData;
        if (request->PrivateBytes < RdmaHello.Bytes || hello->Magic != Frames.OpenMagic || hello->Kind != Frames.KindHello)
        {
            why = "its connection request carries no HELLO";
            return WireStatus.Malformed;
        }

        if (hello->Version != Frames.Version)
        {
            why = $"it speaks version {hello->Version}";
            return WireStatus.Version;
        }

        if (_connections.Count >= _options.ConnectionsMax)
        {
            why = "all connections are in use";
            return WireStatus.Busy;
        }

        why = "the token is unknown, used or expired";
        return _directory.TryRedeem(new(hello->Token, Frames.TokenBytes), new(hello->Id, Frames.IdBytes), out demander)
            ? WireStatus.Ok : WireStatus.Token;
    }

    /// <summary>Null, or why the device could not take it.</summary>
    private string? Accept(RdmaEvent* request, DemanderHandle demander)
    {
        RdmaDevice device = default;
        var queue = (RdmaQueue*)NativeMemory.AllocZeroed((nuint)sizeof(RdmaQueue));
        var options = new RdmaQueueOptions { Requests = 2, Receives = 1 };
        Domain? domain = DomainOf(request->Id, demander);
        int status = domain is null ? -Errno.ENOMEM : RdmaLibrary.DeviceOf(request->Id, &device);
        status = status < 0 ? status : RdmaLibrary.OpenQueue(request->Id, domain!.Handle, &options, queue);
        if (status == 0)
        {
            uint reads = Math.Clamp(Math.Min(request->ReadsToStart, Math.Min(device.ReadsInFlight, ReadsMax)), 1, ReadsMax);
            RdmaWelcome welcome = Welcome(WireStatus.Ok, domain!.Number);
            status = RdmaLibrary.Accept(request->Id, &welcome, RdmaWelcome.Bytes, (byte)reads);
            if (status < 0)
            {
                RdmaLibrary.CloseQueue(request->Id, queue);
            }
        }

        if (status < 0)
        {
            NativeMemory.Free(queue);
            CloseIfUnused(domain);
            return $"the device cannot take it: {Errno.Describe(-status)}";
        }

        _connections.Add(request->Id, new Connection(request->Id, demander, domain!, queue));
        _directory.CountConnection(demander, 1);
        _nextProbe = Math.Min(_nextProbe, Stopwatch.GetTimestamp() + (ProbeMs * Stopwatch.Frequency / 1000));
        return null;
    }

    private RdmaWelcome Welcome(WireStatus status, uint domain)
    {
        RdmaWelcome welcome = new()
        {
            Magic = Frames.OpenMagic,
            Version = Frames.Version,
            Kind = Frames.KindWelcome,
            Status = (uint)status,
            PagesMax = Frames.PagesPerRequestMax,
            Domain = domain,
        };
        _sponsorId.TryWriteBytes(new Span<byte>(welcome.Id, Frames.IdBytes), bigEndian: true, out _);
        return welcome;
    }

    /// <summary>Closes connections whose last sign of life failed, and asks the others for the next.</summary>
    private void Probe()
    {
        lock (_gate)
        {
            foreach (Connection connection in _connections.Values.ToArray())
            {
                RdmaCompletion completion;
                int count = RdmaLibrary.Poll(connection.Queue, &completion, 1);
                if (count < 0 || (count > 0 && completion.Status != 0))
                {
                    LogSilent(_logger, count > 0 ? RdmaLibrary.Describe(completion.Status) : "its queue failed");
                    Close(connection.Id);
                    continue;
                }

                if (count > 0 || !connection.IsProbed)
                {
                    // It may not be established yet; then this is refused, and tried again at the next turn.
                    var empty = new RdmaRequest { Op = RdmaOp.Write };
                    int status;
                    connection.IsProbed = RdmaLibrary.Post(connection.Queue, &empty, 1, &status) == 1;
                }
            }
        }
    }

    private void Close(nint id)
    {
        if (_connections.Remove(id, out Connection? connection))
        {
            // The id last: with the last one of a device that was removed, the library closes the device, and all that is left of it.
            RdmaLibrary.CloseQueue(id, connection.Queue);
            CloseIfUnused(connection.Domain);
            RdmaLibrary.CloseId(id, null);
            NativeMemory.Free(connection.Queue);
            _directory.CountConnection(connection.Demander, -1);
        }
    }

    private void Close()
    {
        lock (_gate)
        {
            Port = 0;
            foreach (nint id in _connections.Keys.ToArray())
            {
                _ = RdmaLibrary.Disconnect(id);
                Close(id);
            }

            if (_listener != 0)
            {
                RdmaLibrary.CloseId(_listener, null);
                _listener = 0;
            }

            if (_channel != 0)
            {
                RdmaLibrary.CloseChannel(_channel);
                _channel = 0;
            }

            if (_wake >= 0)
            {
                _ = Libc.Close(_wake);
                _wake = -1;
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "RDMA data plane listens on {Address} port {Port}")]
    private static partial void LogStarted(ILogger logger, IPAddress address, int port);

    [LoggerMessage(Level = LogLevel.Warning, Message = "RDMA connection closed: the demander's device gives no sign of life ({Why})")]
    private static partial void LogSilent(ILogger logger, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The RDMA device was removed: its connections are closed")]
    private static partial void LogDeviceLost(ILogger logger);

    [LoggerMessage(Level = LogLevel.Critical, Message = "The RDMA thread failed")]
    private static partial void LogFailed(ILogger logger, Exception failure);
}
