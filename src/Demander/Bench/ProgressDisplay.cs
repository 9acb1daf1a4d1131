using System.Diagnostics;
using System.Globalization;

namespace Hecatonchire.Bench;

internal enum ProgressMode
{
    Quiet,

    /// <summary>One line that is written over.</summary>
    Live,

    /// <summary>A line a second, for logs.</summary>
    Plain,
}

/// <summary>How far a run is, on standard error.</summary>
internal sealed class ProgressDisplay(TextWriter error, ProgressMode mode)
{
    private const int BarWidth = 30;

    private string _label = "";
    private string _phase = "";
    private long _shownAt;
    private int _width;

    public static ProgressMode ModeFor(bool plain) =>
        plain ? ProgressMode.Plain : Console.IsErrorRedirected ? ProgressMode.Quiet : ProgressMode.Live;

    public void Show(string label, string phase, long done, long total)
    {
        bool same = label == _label && phase == _phase;
        if (mode == ProgressMode.Quiet || (mode == ProgressMode.Plain && same && Stopwatch.GetElapsedTime(_shownAt).TotalSeconds < 1))
        {
            return;
        }

        (_label, _phase, _shownAt) = (label, phase, Stopwatch.GetTimestamp());
        double share = total > 0 ? Math.Clamp((double)done / total, 0, 1) : 0;
        string percent = (share * 100).ToString("0", CultureInfo.InvariantCulture);
        if (mode == ProgressMode.Plain)
        {
            error.WriteLine($"{label}: {phase} {percent} %");
            return;
        }

        int filled = (int)(share * BarWidth);
        string line = $"{label,-12} {phase,-9} [{new string('#', filled)}{new string('.', BarWidth - filled)}] {percent,3} %";
        error.Write('\r' + line.PadRight(_width));
        _width = line.Length;
    }

    /// <summary>A line of any kind. Where lines stay, only the first of each <paramref name="key"/> is written: a log of hours is read.</summary>
    public void ShowLine(string key, string line)
    {
        if (mode == ProgressMode.Live)
        {
            // A line that wraps could not be written over.
            string cut = line.Length < TerminalWidth() ? line : line[..(TerminalWidth() - 1)];
            error.Write('\r' + cut.PadRight(_width));
            _width = cut.Length;
        }
        else if (mode == ProgressMode.Plain && key != _label)
        {
            error.WriteLine(line);
        }

        _label = key;
    }

    /// <summary>A line that stays, above what is under way.</summary>
    public void Note(string line)
    {
        Clear();
        if (mode != ProgressMode.Quiet)
        {
            error.WriteLine(line);
        }
    }

    /// <summary>Takes a live line away, before anything else is written.</summary>
    public void Clear()
    {
        if (_width > 0)
        {
            error.Write('\r' + new string(' ', _width) + '\r');
            _width = 0;
        }
    }

    private static int TerminalWidth()
    {
        const int usual = 80;
        try
        {
            return Console.WindowWidth > 1 ? Console.WindowWidth : usual;
        }
        catch (IOException)
        {
            return usual;
        }
    }
}
