using System.Diagnostics.CodeAnalysis;
using Hecatonchire.Status;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Hecatonchire.Hosting;

/// <summary>How a log is written to standard error; one line an entry in each.</summary>
internal enum LogFormat
{
    /// <summary>Time, level, source, message: for people.</summary>
    Text,

    /// <summary>An object with Timestamp, LogLevel, Category, Message and, in State, the values in the message by name.</summary>
    Json,

    /// <summary>The level as the journal's priority, in front as &lt;N&gt;, and no time: the journal has its own.</summary>
    Journald,
}

/// <summary>The log of both programs. Who logs never waits for who reads: what a reader that stands still does not take is left out, and a disk that is full takes nothing.</summary>
internal static class DaemonLogging
{
    public const string Formats = "text|json|journald";

    private const string TimestampFormat = "yyyy-MM-ddTHH:mm:ss.fffZ ";

    public static bool TryParse(string? text, [NotNullWhen(true)] out LogFormat? format)
    {
        format = text switch { "text" => LogFormat.Text, "json" => LogFormat.Json, "journald" => LogFormat.Journald, _ => null };
        return format is not null;
    }

    /// <param name="logging">What is set up.</param>
    /// <param name="least">What goes to standard error.</param>
    /// <param name="format">And how.</param>
    /// <param name="events">Gets what is said at Information and above besides; null: there is nobody to look at it.</param>
    public static void Configure(ILoggingBuilder logging, LogLevel least, LogFormat format, EventRing? events)
    {
        logging.SetMinimumLevel(events is null || least < LogLevel.Information ? least : LogLevel.Information);
        if (events is not null)
        {
            _ = logging.AddProvider(events);
            _ = logging.AddFilter<ConsoleLoggerProvider>(level => level >= least);
        }

        _ = format switch
        {
            LogFormat.Json => logging.AddJsonConsole(console =>
            {
                console.TimestampFormat = TimestampFormat.TrimEnd();
                console.UseUtcTimestamp = true;
            }),
            LogFormat.Journald => logging.AddSystemdConsole(console => console.TimestampFormat = null),
            _ => logging.AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.ColorBehavior = LoggerColorBehavior.Disabled;
                console.TimestampFormat = TimestampFormat;
                console.UseUtcTimestamp = true;
            }),
        };
        _ = logging.Services.Configure<ConsoleLoggerOptions>(console =>
        {
            console.LogToStandardErrorThreshold = LogLevel.Trace;

            // A pipe that nobody empties fills, and whoever logs then would stand still until somebody does.
            console.QueueFullMode = ConsoleLoggerQueueFullMode.DropWrite;
        });
    }
}
