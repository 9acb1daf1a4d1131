using System.Diagnostics;

namespace Hecatonchire.Metrics;

/// <summary>
/// When each hard fault of a single-threaded program passed each stage, for `heca bench fault --breakdown`. Written by the
/// pager thread, one fault at a time; full, it records no more. Timestamps are <see cref="Stopwatch"/>'s, which on Linux is
/// CLOCK_MONOTONIC and so the same in every process.
/// </summary>
internal sealed class FaultTrace(int capacity)
{
    private readonly Stages[] _faults = new Stages[capacity];
    private Stages _current;
    private long _awake;

    /// <summary>One fault.</summary>
    public struct Stages
    {
        /// <summary>The pager thread runs again: epoll_wait has returned.</summary>
        public long Awake;

        /// <summary>The event has been read.</summary>
        public long Read;

        /// <summary>The READ and what is to be fetched with it are ready to be sent.</summary>
        public long Posted;

        /// <summary>The call that sends them has returned.</summary>
        public long Sent;

        /// <summary>The page is in the pager's buffer.</summary>
        public long Received;

        /// <summary>UFFDIO_COPY has returned: the page is in place and its thread woken.</summary>
        public long Installed;
    }

    public int Count { get; private set; }

    public ReadOnlySpan<Stages> Faults => _faults.AsSpan(0, Count);

    public void NoteAwake() => _awake = Stopwatch.GetTimestamp();

    /// <summary>A hard fault; one that was not slept for counts as awake when it was read.</summary>
    public void Begin(long read) => _current = new Stages { Awake = _awake != 0 ? _awake : read, Read = read };

    public void NotePosted()
    {
        if (_current.Read != 0 && _current.Posted == 0)
        {
            _current.Posted = Stopwatch.GetTimestamp();
        }
    }

    public void NoteSent()
    {
        if (_current.Read != 0 && _current.Sent == 0)
        {
            _current.Sent = Stopwatch.GetTimestamp();
        }
    }

    public void NoteReceived() => _current.Received = Stopwatch.GetTimestamp();

    public void NoteInstalled()
    {
        if (_current.Sent != 0 && Count < _faults.Length)
        {
            _current.Installed = Stopwatch.GetTimestamp();
            _faults[Count++] = _current;
        }

        _current = default;
        _awake = 0;
    }
}
