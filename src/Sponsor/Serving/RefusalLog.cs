using System.Diagnostics;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Serving;

/// <summary>
/// Logs refused connections, at most <see cref="LinesPerWindow"/> in <see cref="WindowSeconds"/> s: a flood of bad frames must neither
/// fill the log nor slow the serving thread down. What was left out is counted and said in the next window.
/// </summary>
internal sealed partial class RefusalLog(ILogger logger)
{
    public const int LinesPerWindow = 20;
    private const int WindowSeconds = 10;

    private long _windowStarted = long.MinValue;
    private int _lines;
    private long _leftOut;

    public void Write(RefusalReason reason, string detail, string peer, long now)
    {
        if (_windowStarted == long.MinValue || now - _windowStarted > WindowSeconds * Stopwatch.Frequency)
        {
            if (_leftOut > 0)
            {
                LogLeftOut(logger, _leftOut);
            }

            _windowStarted = now;
            _lines = 0;
            _leftOut = 0;
        }

        if (_lines < LinesPerWindow)
        {
            _lines++;
            LogRefused(logger, peer, reason, detail);
        }
        else
        {
            _leftOut++;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Data connection from {Peer} closed: {Reason}, {Detail}")]
    private static partial void LogRefused(ILogger logger, string peer, RefusalReason reason, string detail);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} more data connections were closed and not logged")]
    private static partial void LogLeftOut(ILogger logger, long count);
}
