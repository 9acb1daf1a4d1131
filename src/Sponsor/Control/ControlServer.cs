using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Sponsor.Pressure;
using Hecatonchire.Sponsor.Slabs;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Control;

/// <summary>
/// The sponsor's control channel: one thread, "heca-control", that receives requests on a ROUTER socket, answers each,
/// frees what demanders that are gone have left, and looks whether the host is short of memory. What arrives is decoded without exceptions; whatever a peer sends, others
/// notice nothing.
/// </summary>
internal sealed partial class ControlServer : IDisposable
{
    private const int SweepMsMax = 1_000;
    private const int SweepMsMin = 10;

    /// <summary>Messages answered between two looks at the clock, so that a flood does not keep the sweep from running.</summary>
    private const int BatchMax = 64;

    /// <summary>At the end: how many waiting requests are told that the sponsor stops, and how long sending that may take.</summary>
    private const int FarewellsMax = 256;
    private const int FarewellMs = 200;

    private readonly ControlServerOptions _options;
    private readonly RequestHandler _handler;
    private readonly SlabStore _store;
    private readonly PressureRelief? _relief;
    private readonly TrustedKeys? _trust;
    private readonly ILogger<ControlServer> _logger;
    private readonly LogBudget _dropLog;
    private readonly byte[] _identity = new byte[256];
    private readonly byte[] _frame = new byte[ZmqSocket.FrameBytesMax];
    private WakeSignal? _wake;
    private ZmqContext? _context;
    private ZmqSocket? _socket;
    private KeyGate? _gate;
    private Thread? _thread;
    private long _dropped;
    private long _rounds;
    private volatile bool _stop;

    public ControlServer(ControlServerOptions options, SlabStore store, RequestHandler handler, TimeProvider time, ILogger<ControlServer> logger, PressureRelief? relief = null,
        TrustedKeys? trust = null)
    {
        _options = options;
        _store = store;
        _relief = relief;
        _trust = trust;
        _handler = handler;
        _logger = logger;
        _dropLog = new LogBudget(time);
    }

    /// <summary>The port that was taken; 0 before the start.</summary>
    public int Port { get; private set; }

    /// <summary>Messages that were no control messages.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>How often its thread has looked for messages and for who is gone: at least once a second, unless it hangs.</summary>
    public long Rounds => Volatile.Read(ref _rounds);

    /// <summary>Listens and starts the thread. Throws <see cref="IOException"/> with one line where it cannot listen.</summary>
    public void Start()
    {
        _context = ZmqContext.Create();
        _wake = new WakeSignal();
        _gate = new KeyGate(_context);
        _socket = ZmqSocket.CreateRouter(_context, _options.Keys);
        if (_trust is not null)
        {
            _trust.OnAsked = _wake.Set;
        }

        try
        {
            Port = _socket.Bind(_options.Address, _options.Port);
        }
        catch (ZmqException e)
        {
            throw new IOException($"{e.Message}; choose another --port (0 for any free one)", e);
        }

        _thread = new Thread(Run) { Name = "heca-control", IsBackground = true };
        _thread.Start();
        LogStarted(_options.Address, Port);
    }

    /// <summary>Answers what waits with `stopping`, closes and ends the thread.</summary>
    public void Dispose()
    {
        if (_stop)
        {
            return;
        }

        _stop = true;
        _wake?.Set();
        _thread?.Join();
        _socket?.Dispose();
        _gate?.Dispose();
        _context?.Dispose();
        _wake?.Dispose();
        if (_thread is not null)
        {
            LogStopped();
        }
    }

    /// <summary>The thread. An exception here is a bug that no caller can handle: it ends the process with its reason.</summary>
    private void Run()
    {
        try
        {
            Serve(_socket!, _gate!, _wake!);
        }
#pragma warning disable CA1031 // the last resort of this thread
        catch (Exception failure)
#pragma warning restore CA1031
        {
            LogFailed(failure);
            Environment.FailFast("the control channel's thread failed", failure);
        }
    }

    private void Serve(ZmqSocket socket, KeyGate gate, WakeSignal wake)
    {
        int sweepMs = (int)Math.Clamp(_options.GoneAfter.TotalMilliseconds / 4, SweepMsMin, SweepMsMax);
        long sweepAt = Environment.TickCount64 + sweepMs;
        while (!_stop)
        {
            if (_trust?.TakeAsked() == true)
            {
                wake.Clear();
                LookAtKeys(always: true);
                continue;
            }

            int served = 0;
            Volatile.Write(ref _rounds, _rounds + 1);
            while (served < BatchMax && TryServeOne(socket))
            {
                served++;
            }

            for (int asked = 0; asked < BatchMax && gate.TryAnswer(); asked++)
            {
            }

            long now = Environment.TickCount64;
            if (now >= sweepAt)
            {
                Sweep();
                sweepAt = now + sweepMs;
            }

            socket.Wait(wake.Descriptor, served == BatchMax ? 0 : (int)(sweepAt - now), gate.Socket);
        }

        _handler.IsStopping = true;
        for (int i = 0; i < FarewellsMax && TryServeOne(socket); i++)
        {
            socket.LingerOnClose(FarewellMs);
        }
    }

    /// <summary>Takes one message, whole, and answers it. False when none waits.</summary>
    private bool TryServeOne(ZmqSocket socket)
    {
        if (!socket.TryReceive(_identity, out int identityLength, out bool more))
        {
            return false;
        }

        int frames = 0;
        int length = 0;
        string? key = null;
        while (more && socket.TryReceive(_frame, out length, out more, out key))
        {
            frames++;
        }

        ReadOnlySpan<byte> identity = _identity.AsSpan(0, identityLength);
        ControlAnswer? answer = frames == 1 ? _handler.Handle(identity, _frame.AsMemory(0, length), key) : null;
        if (answer is null)
        {
            Interlocked.Increment(ref _dropped);
            if (_dropLog.TryTake(out long leftOut))
            {
                LogDropped(frames, length, leftOut);
            }
        }
        else if (socket.TrySend(identity, more: true))
        {
            socket.TrySend(answer.Encode());
        }

        return true;
    }

    private void LookAtKeys(bool always)
    {
        if (_trust is null)
        {
            return;
        }

        _trust.Refresh(always);
        if (_trust.IsInForce)
        {
            foreach (Demander cut in _store.CutOff(_trust.Distrust))
            {
                LogCutOff(cut.Id, cut.Name, cut.Key, _trust.Distrust(cut.Key, out _) ?? "its key is another's now");
            }
        }
    }

    private void Sweep()
    {
        _relief?.Look();
        LookAtKeys(always: false);
        _handler.ForgetSilentSessions();
        foreach (Demander gone in _store.SweepGone())
        {
            // One that has given everything back was expected to go.
            LogGone(gone.LentBytes > 0 ? LogLevel.Warning : LogLevel.Information, gone.Id, gone.Name, gone.LentBytes);
        }
    }
}
