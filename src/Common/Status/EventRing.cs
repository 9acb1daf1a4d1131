using System.Globalization;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Status;

/// <summary>One thing that a daemon has said.</summary>
/// <param name="Number">Counts from 1: those that are missing have been pushed out by later ones.</param>
/// <param name="Time">When.</param>
/// <param name="Level">information, warning, error or critical.</param>
/// <param name="Source">The part of the daemon that says it.</param>
/// <param name="Message">One line.</param>
internal sealed record LoggedEvent(long Number, DateTimeOffset Time, string Level, string Source, string Message);

/// <summary>The last that a daemon has logged at Information or above, whatever of it goes to standard error. Bounded; from any thread.</summary>
internal sealed class EventRing(TimeProvider time) : ILoggerProvider
{
    /// <summary>What fits on a page that somebody reads.</summary>
    public const int EventsMax = 100;

    /// <summary>A message may quote what a peer has sent.</summary>
    private const int CharactersMax = 1000;

    private readonly Lock _gate = new();
    private readonly Queue<LoggedEvent> _events = new(EventsMax);
    private long _count;

    /// <summary>The newest first.</summary>
    public IReadOnlyList<LoggedEvent> Events
    {
        get
        {
            lock (_gate)
            {
                return [.. _events.Reverse()];
            }
        }
    }

    public ILogger CreateLogger(string categoryName) =>
        new Source(this, categoryName[(categoryName.LastIndexOf('.') + 1)..], categoryName.StartsWith("Microsoft.", StringComparison.Ordinal) ? LogLevel.Warning : LogLevel.Information);

    public void Dispose()
    {
        // Nothing is held.
    }

    private void Add(string source, LogLevel level, string message)
    {
        message = message.ReplaceLineEndings(" ");
        message = message.Length > CharactersMax ? string.Concat(message.AsSpan(0, CharactersMax), "...") : message;
        lock (_gate)
        {
            if (_events.Count == EventsMax)
            {
                _ = _events.Dequeue();
            }

            _events.Enqueue(new LoggedEvent(++_count, time.GetUtcNow(), level.ToString().ToLower(CultureInfo.InvariantCulture), source, message));
        }
    }

    /// <summary>What the libraries say of themselves is no event of a daemon's.</summary>
    private sealed class Source(EventRing ring, string name, LogLevel least) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= least && logLevel < LogLevel.None;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                string message = formatter(state, exception);
                ring.Add(name, logLevel, exception is null ? message : $"{message}: {exception.Message}");
            }
        }
    }
}
