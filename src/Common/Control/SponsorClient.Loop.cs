using System.Diagnostics;
using System.Linq;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;

namespace Hecatonchire.Control;

/// <summary>The thread that owns the socket: everything here runs on it, except what the fields say.</summary>
internal sealed partial class SponsorClient
{
    private readonly Dictionary<ulong, Pending> _inFlight = [];
    private readonly List<Pending> _afterHello = [];
    private readonly byte[] _buffer = new byte[ControlProtocol.MessageBytesMax];
    private bool _greeting;
    private ulong _heartbeat;
    private Guid _instance;
    private long _lastAnswer;
    private long _lastBeat;

    // Written here, read by any thread.
    private volatile string? _silent;
    private volatile string? _lost;

    private void Run()
    {
        try
        {
            while (!_stop)
            {
                _wake.Clear();
                SendNew();
                while (_socket.TryReceive(_buffer, out int length, out bool more))
                {
                    // A sponsor's answers are one frame; the frames of anything else decode to nothing.
                    if (!more && AnswerDecoder.Decode(_buffer.AsMemory(0, length)) is { } answer)
                    {
                        Take(answer);
                    }
                }

                _socket.Wait(_wake.Descriptor, KeepAlive());
            }
        }
#pragma warning disable CA1031 // the last resort of this thread: whoever waits on it must hear of it
        catch (Exception failure)
#pragma warning restore CA1031
        {
            Lose($"the control channel to sponsor {_host}:{_port} failed: {failure.Message}");
        }
        finally
        {
            foreach (Pending pending in _inFlight.Values.Concat(_afterHello).Concat(_outbox))
            {
                pending.TryComplete(null);
            }
        }
    }

    private void SendNew()
    {
        foreach ((ulong id, Pending pending) in _inFlight)
        {
            if (pending.IsAbandoned)
            {
                _inFlight.Remove(id);
            }
        }

        while (_outbox.TryDequeue(out Pending? pending))
        {
            if (_lost is not null)
            {
                pending.TryComplete(null);
            }
            else if (!pending.IsAbandoned)
            {
                Send(pending);
            }
        }
    }

    // What the socket does not take is answered by silence, as what the network loses.
    private void Send(Pending pending)
    {
        _inFlight[pending.Request.Id] = pending;
        _socket.TrySend(pending.Request.Encode());
    }

    private void Send(Func<ulong, ControlRequest> make, Action<ControlAnswer> handler) =>
        Send(new Pending(make(Interlocked.Increment(ref _lastId)), handler));

    private void Take(ControlAnswer answer)
    {
        _lastAnswer = Stopwatch.GetTimestamp();
        _silent = null;
        if (!_inFlight.Remove(answer.Id, out Pending? pending))
        {
            GiveBack(answer);
            return;
        }

        if (answer is ErrorAnswer { Code: ErrorCode.HelloFirst } && pending.Request is not HelloRequest)
        {
            // A new connection under this socket, or a sponsor that forgot us. The request was not carried out: it goes again.
            _afterHello.Add(pending);
            Greet();
            return;
        }

        if (answer is ErrorAnswer { Code: ErrorCode.NotTrusted } && TryChangeKey())
        {
            Repeat(pending);
            return;
        }

        Note(pending.Request, answer);
        if (!pending.TryComplete(answer))
        {
            GiveBack(answer);
        }
    }

    /// <summary>Reads the key file anew; true when it has another key than before, which is in use from now on.</summary>
    private bool TryChangeKey()
    {
        CurveKeyPair before = _keys;
        try
        {
            if (_options.Key?.Load() is not { } keys || keys == before)
            {
                return false;
            }

            _keys = keys;
            ZmqSocket old = _socket;
            _socket = OpenSocket();
            old.Dispose();
            return true;
        }
        catch (Exception failure) when (failure is IOException or ZmqException)
        {
            // Half a change, by whoever is making it: the refusal stands until the next look.
            _keys = before;
            return false;
        }
    }

    /// <summary>What went over the connection with the old key was not carried out, or will not be: it goes again, after a hello, in its order.</summary>
    private void Repeat(Pending refused)
    {
        List<Pending> again = [refused, .. _inFlight.OrderBy(request => request.Key).Select(request => request.Value)];
        _inFlight.Clear();
        _greeting = false;
        if (again.Find(pending => pending.Request is HelloRequest) is { } hello)
        {
            Send(hello);
            _greeting = true;
        }
        else
        {
            Greet();
        }

        _afterHello.AddRange(again.Where(pending => pending.Request is not HelloRequest));
    }

    /// <summary>An allocation that nobody waits for any more must not stay lent.</summary>
    private void GiveBack(ControlAnswer answer)
    {
        if (answer is AllocateAnswer allocated)
        {
            Send(id => new FreeRequest(id, allocated.Slab), static _ => { });
        }
    }

    private void Note(ControlRequest request, ControlAnswer answer)
    {
        switch (answer)
        {
            case AllocateAnswer allocated:
                _slabs[allocated.Slab] = allocated.Bytes;
                break;
            case FreeAnswer when request is FreeRequest free:
                _slabs.TryRemove(free.Slab, out _);
                break;
            case HelloAnswer hello when _instance == Guid.Empty:
                _instance = hello.Instance;
                break;
            default:
                break;
        }
    }

    private void Greet()
    {
        if (!_greeting)
        {
            _greeting = true;
            Send(id => new HelloRequest(id, _demander, _name), AfterHello);
        }
    }

    private void AfterHello(ControlAnswer answer)
    {
        _greeting = false;
        if (answer is not HelloAnswer hello)
        {
            // Full or stopping: who waits is told so, a heartbeat tries again.
            foreach (Pending pending in _afterHello)
            {
                pending.TryComplete(answer);
            }

            _afterHello.Clear();
            return;
        }

        if (hello.Instance != _instance && _instance != Guid.Empty)
        {
            Lose($"sponsor {_host}:{_port} was restarted: what it held for this demander is gone");
            return;
        }

        Send(id => new ListRequest(id), CheckSlabs);
        foreach (Pending pending in _afterHello)
        {
            Send(pending);
        }

        _afterHello.Clear();
    }

    private void CheckSlabs(ControlAnswer answer)
    {
        if (answer is ListAnswer list && !_slabs.Keys.All(list.Slabs.Select(entry => entry.Slab).ToHashSet().Contains))
        {
            Lose($"sponsor {_host}:{_port} did not hear of this demander for too long and has freed its slabs");
        }
    }

    /// <summary>Sends the heartbeat that is due, judges the silence, and returns the milliseconds until it is to be called again.</summary>
    private int KeepAlive()
    {
        long now = Stopwatch.GetTimestamp();
        if (Stopwatch.GetElapsedTime(_lastAnswer, now) > _options.SilenceMax && _silent is null && _lost is null && _instance != Guid.Empty)
        {
            _silent = $"sponsor {_host}:{_port} has not answered for {_options.SilenceMax.TotalSeconds:0.###} s";
            Lost?.Invoke(_silent);
        }

        TimeSpan sinceBeat = Stopwatch.GetElapsedTime(_lastBeat, now);
        if (sinceBeat >= _options.HeartbeatInterval)
        {
            sinceBeat = TimeSpan.Zero;
            _lastBeat = now;
            if (_instance != Guid.Empty && _lost is null)
            {
                // An unanswered beat is superseded; so is an unanswered greeting, which may have gone down with its connection.
                _inFlight.Remove(_heartbeat);
                _greeting = false;
                Send(id => new HeartbeatRequest(_heartbeat = id), static _ => { });
            }
        }

        return (int)Math.Ceiling((_options.HeartbeatInterval - sinceBeat).TotalMilliseconds);
    }

    private void Lose(string why)
    {
        if (_lost is not null)
        {
            return;
        }

        _lost = why;
        foreach (Pending pending in _inFlight.Values.Concat(_afterHello))
        {
            pending.TryComplete(null);
        }

        _inFlight.Clear();
        _afterHello.Clear();
        Lost?.Invoke(why);
    }
}
