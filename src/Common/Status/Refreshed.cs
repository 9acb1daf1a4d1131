namespace Hecatonchire.Status;

/// <summary>
/// What takes time to find out, and is found out again only while somebody asks, by one at a time: however many ask, and however long it takes, who asks has what was known
/// last. From any thread.
/// </summary>
/// <param name="read">Finds it out; runs on the thread pool.</param>
/// <param name="first">Until it is known for the first time.</param>
/// <param name="every">How old it may be before it is asked for again; longer where finding out takes more than a twentieth of that.</param>
/// <param name="time">The clock.</param>
internal sealed class Refreshed<T>(Func<T> read, T first, TimeSpan every, TimeProvider time)
    where T : class
{
    /// <summary>How much of its time at most is spent on finding out.</summary>
    private const int Share = 20;

    /// <summary>Who asks first has patience, and does not wait for ever.</summary>
    private static readonly TimeSpan s_firstWait = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private T _last = first;
    private Task? _reading;
    private bool _isKnown;
    private long _due;

    /// <summary>As known now. Waits a second at most, and only until it is known for the first time. What finding out throws is thrown away: the last stays.</summary>
    public T Get()
    {
        Task? first = null;
        lock (_gate)
        {
            if (_reading is null && (!_isKnown || time.GetTimestamp() >= _due))
            {
                _reading = Task.Run(Read);
            }

            first = _isKnown ? null : _reading;
        }

        _ = first?.Wait(s_firstWait);
        lock (_gate)
        {
            return _last;
        }
    }

    private void Read()
    {
        long start = time.GetTimestamp();
        T? found = null;
        try
        {
            found = read();
        }
#pragma warning disable CA1031 // Nobody is there to be told; the next one to ask has it tried again.
        catch (Exception)
#pragma warning restore CA1031
        {
        }

        lock (_gate)
        {
            long now = time.GetTimestamp();
            TimeSpan pause = time.GetElapsedTime(start, now) * Share;
            pause = pause > every ? pause : every;
            (_last, _isKnown, _reading) = (found ?? _last, true, null);
            _due = now + (long)(pause.TotalSeconds * time.TimestampFrequency);
        }
    }
}
