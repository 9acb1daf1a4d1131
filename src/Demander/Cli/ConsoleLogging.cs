using Hecatonchire.Hosting;
using Hecatonchire.Status;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli;

/// <summary>Logs of `heca`: on standard error, one line each, warnings and worse unless asked for more.</summary>
internal static class ConsoleLogging
{
    /// <summary>Disposing the factory writes out what is still queued.</summary>
    public static ILoggerFactory Create(LogLevel least, LogFormat format = LogFormat.Text, EventRing? events = null) =>
        LoggerFactory.Create(logging => DaemonLogging.Configure(logging, least, format, events));
}
