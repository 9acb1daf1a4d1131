namespace Hecatonchire.Sponsor.Control;

/// <summary>
/// Lets at most <see cref="LinesPerWindow"/> lines through in <see cref="Window"/>: what a peer can cause must not fill the log. Used by
/// one thread.
/// </summary>
internal sealed class LogBudget(TimeProvider time)
{
    public const int LinesPerWindow = 20;

    private static readonly TimeSpan Window = TimeSpan.FromSeconds(10);

    private long _windowStarted;
    private int _lines = -1;
    private long _leftOut;

    /// <summary>True when a line may be written; <paramref name="leftOut"/> is how many were not since the one before.</summary>
    public bool TryTake(out long leftOut)
    {
        if (_lines < 0 || time.GetElapsedTime(_windowStarted) > Window)
        {
            _windowStarted = time.GetTimestamp();
            _lines = 0;
        }

        if (_lines >= LinesPerWindow)
        {
            _leftOut++;
            leftOut = 0;
            return false;
        }

        _lines++;
        leftOut = _leftOut;
        _leftOut = 0;
        return true;
    }
}
