namespace Hecatonchire.Tests.Harness;

/// <summary>Reads what a process says, line by line, so that it never waits for a reader, and keeps the last of it.</summary>
internal sealed class OutputTail
{
    private const int LinesMax = 30;

    private readonly Lock _lock = new();
    private readonly Queue<string> _lines = new();

    /// <param name="reader">Read to its end by a thread of this.</param>
    /// <param name="onLine">Called with each line, on that thread.</param>
    public OutputTail(StreamReader reader, Action<string>? onLine = null)
    {
        var thread = new Thread(() => Read(reader, onLine)) { Name = "tail", IsBackground = true };
        thread.Start();
    }

    public string Text
    {
        get
        {
            lock (_lock)
            {
                return string.Join('\n', _lines);
            }
        }
    }

    private void Read(StreamReader reader, Action<string>? onLine)
    {
        try
        {
            while (reader.ReadLine() is { } line)
            {
                onLine?.Invoke(line);
                lock (_lock)
                {
                    _lines.Enqueue(line);
                    if (_lines.Count > LinesMax)
                    {
                        _ = _lines.Dequeue();
                    }
                }
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            // The process is let go of.
        }
    }
}
