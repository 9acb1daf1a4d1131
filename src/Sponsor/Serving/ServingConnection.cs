using System.Runtime.InteropServices;
using Hecatonchire.Interop;
using Hecatonchire.Transport.Tcp;

namespace Hecatonchire.Sponsor.Serving;

/// <summary>Where a connection stands.</summary>
internal enum ConnectionPhase
{
    Closed,

    /// <summary>Accepted; nothing but a HELLO may come.</summary>
    Hello,
    Ready,

    /// <summary>Refused; the refusal is not out yet. Input is not read.</summary>
    Refusing,

    /// <summary>The refusal is out. Input is thrown away until the peer closes, or its refusal would be lost to a reset.</summary>
    Lingering,
}

/// <summary>What a turn with a connection came to.</summary>
internal enum ServeOutcome
{
    Idle,
    Worked,

    /// <summary>Close it.</summary>
    Ended,
}

/// <summary>
/// One data connection on the sponsor: reads requests out of a receive buffer, takes WRITE payloads straight into slab memory,
/// answers READs straight out of it. Used by the serving thread only; reused for another socket after <see cref="Close"/>.
/// While the peer does not take its answers, none of its requests is read: memory per connection is bounded.
/// </summary>
internal sealed unsafe partial class ServingConnection : IDisposable
{
    /// <summary>Answers waiting for the socket, a power of two.</summary>
    public const int AnswersMax = 256;

    private const uint AnswerMask = AnswersMax - 1;

    /// <summary>The shortest spin is the longest by this.</summary>
    private const int SpinSteps = 8;

    /// <summary>One receive may bring a thousand READs, or the start of a WRITE.</summary>
    private const int InputBytes = 32 << 10;

    private readonly ServingContext _context;
    private readonly DataServerCounters _counters;
    private readonly FrameHeader* _answers;
    private readonly byte** _payloads;
    private readonly byte* _input;

    private int _inputStart;
    private int _inputEnd;

    // Free-running: answers [_flushed, _queued) wait; of the first, _flushedBytes are out.
    private uint _queued;
    private uint _flushed;
    private nuint _flushedBytes;

    // The WRITE whose payload is coming in.
    private FrameHeader _write;
    private byte* _writeTarget;
    private nuint _writeLeft;

    private bool _isDemander;
    private DemanderHandle _demander;

    // What this turn may still move; below 0 it has moved more, by a frame at most.
    private long _budget;

    public ServingConnection(ServingContext context, int index)
    {
        _context = context;
        _counters = context.Counters;
        Index = index;
        const int AnswerBytes = FrameHeader.Bytes + 8;
        byte* memory = (byte*)NativeMemory.AlignedAlloc(InputBytes + AnswersMax * AnswerBytes, 4096);
        NativeMemory.Clear(memory, InputBytes + AnswersMax * AnswerBytes);
        _input = memory;
        _answers = (FrameHeader*)(memory + InputBytes);
        _payloads = (byte**)(_answers + AnswersMax);
    }

    public int Index { get; }

    public int Descriptor { get; private set; } = -1;

    public ConnectionPhase Phase { get; private set; }

    /// <summary>Answers wait for room in the socket.</summary>
    public bool IsHeldBack => _queued != _flushed;

    /// <summary>Whole requests are in the receive buffer already: serve again, no event will announce them.</summary>
    public bool HasMore { get; private set; }

    /// <summary>Why it was refused, with a few words for the log; read when <see cref="IsRefusalNew"/>.</summary>
    public RefusalReason Refusal { get; private set; }

    public string RefusalDetail { get; private set; } = "";

    /// <summary>Set once by a refusal; the server clears it when it has counted and logged.</summary>
    public bool IsRefusalNew { get; set; }

    // The loop's own notes on this connection.
    public long Deadline { get; set; }

    /// <summary>The phase the deadline was set for.</summary>
    public ConnectionPhase DeadlinePhase { get; set; }

    public long LastWork { get; set; }

    /// <summary>
    /// How long to look for its next request: doubled when one came soon after the thread had gone to sleep, halved when it took
    /// longer than looking is worth. A demander's evictor keeps its core for 300 us at a time, and without this the
    /// fault after it waited for a wake-up: one in a hundred.
    /// </summary>
    public long SpinTicks { get; private set; }

    public bool IsActive { get; set; }

    /// <summary>The newest request was a large one: what follows can wait for a wake-up, and its core is better given back.</summary>
    public bool IsBulk { get; private set; }

    public uint RegisteredEvents { get; set; }

    /// <summary>Who it is served for; null until its HELLO was taken.</summary>
    public ServingShare? Share { get; private set; }

    /// <summary>The peer is on this host.</summary>
    public bool IsSameHost { get; set; }

    public void Open(int descriptor)
    {
        Descriptor = descriptor;
        Phase = DeadlinePhase = ConnectionPhase.Hello;
        _inputStart = _inputEnd = 0;
        _queued = _flushed = 0;
        _flushedBytes = _writeLeft = 0;
        _isDemander = false;
        Share = null;
        IsRefusalNew = false;
        HasMore = false;
        SpinTicks = LastWork = 0;
        RefusalDetail = "";
    }

    /// <summary>True once its HELLO was this demander's.</summary>
    public bool Serves(DemanderHandle demander) => _isDemander && _demander == demander;

    /// <summary>Notes that a request has come while the thread was not looking for it, and adapts how long it will.</summary>
    public void NoteMissed(long now, long spinMax)
    {
        long least = spinMax / SpinSteps;
        SpinTicks = Math.Clamp(now - LastWork <= spinMax ? SpinTicks * 2 : SpinTicks / 2, least, spinMax);
    }

    /// <summary>Closes the socket; nothing of the connection is left afterwards.</summary>
    public void Close()
    {
        if (Phase == ConnectionPhase.Closed)
        {
            return;
        }

        Phase = ConnectionPhase.Closed;
        _ = Libc.Close(Descriptor);
        Descriptor = -1;
        if (_isDemander)
        {
            _isDemander = false;
            _context.Rounds.NoteConnection(Share!, -1);
            _context.Directory.CountConnection(_demander, -1);
        }
    }

    /// <summary>
    /// Does what can be done now without waiting, as far as <paramref name="budget"/> bytes go, and takes from it what was moved. What is left over is in the socket, which epoll announces
    /// again, or here: <see cref="HasMore"/>.
    /// </summary>
    public ServeOutcome Serve(ref long budget)
    {
        _budget = budget;
        ServeOutcome outcome = Serve();
        budget = _budget;
        return outcome;
    }

    private ServeOutcome Serve()
    {
        if (Phase == ConnectionPhase.Lingering)
        {
            return Discard();
        }

        bool worked = false;
        if (IsHeldBack)
        {
            uint before = _flushed;
            nuint bytesBefore = _flushedBytes;
            if (!Flush())
            {
                return ServeOutcome.Ended;
            }

            worked = before != _flushed || bytesBefore != _flushedBytes;
            if (IsHeldBack)
            {
                return worked ? ServeOutcome.Worked : ServeOutcome.Idle;
            }

        }

        // What was received before the socket was full, or the last turn over, comes first.
        if (HasMore)
        {
            worked = true;
            if (!Answer())
            {
                return ServeOutcome.Ended;
            }
        }

        return Receive(worked);
    }

    /// <summary>
    /// To be called when slabs may have been taken away: false when this connection was using one of them and must be closed.
    /// </summary>
    public bool Revalidate()
    {
        if (_writeLeft > 0 && Phase == ConnectionPhase.Ready)
        {
            byte* end = _writeTarget + _writeLeft;
            if (!TryLocate(_write, out byte* memory, out _) || memory + _write.PayloadBytes != end)
            {
                return Retired();
            }
        }

        for (uint i = _flushed; i != _queued; i++)
        {
            byte* payload = _payloads[i & AnswerMask];
            if (payload is not null && (!TryLocate(_answers[i & AnswerMask], out byte* memory, out _) || memory != payload))
            {
                return Retired();
            }
        }

        return true;
    }

    private bool Retired()
    {
        NoteRefusal(RefusalReason.SlabRetired, "its slab was freed while a request was under way");
        return false;
    }

    /// <summary>Refuses without an answer; the caller closes.</summary>
    public void NoteRefusal(RefusalReason reason, string detail)
    {
        Refusal = reason;
        RefusalDetail = detail;
        IsRefusalNew = true;
    }

    /// <summary>Answers the HELLO that has not been taken yet; who is connected already sees the end of the connection.</summary>
    public void SayStopping()
    {
        if (Phase == ConnectionPhase.Hello)
        {
            SendRefusal(Descriptor, WireStatus.Stopping);
        }
    }

    /// <summary>Sends a WELCOME with a refusal on a new socket, where 64 bytes always find room.</summary>
    public static void SendRefusal(int descriptor, WireStatus status)
    {
        OpenFrame welcome = Welcome(status);
        _ = Libc.Send(descriptor, &welcome, OpenFrame.Bytes, Libc.MSG_NOSIGNAL | Libc.MSG_DONTWAIT);
    }

    private static OpenFrame Welcome(WireStatus status) => new()
    {
        Magic = Frames.OpenMagic,
        Version = Frames.Version,
        Kind = Frames.KindWelcome,
        Status = (uint)status,
        PagesMax = Frames.PagesPerRequestMax,
    };

    public void Dispose()
    {
        Close();
        NativeMemory.AlignedFree(_input);
    }
}
