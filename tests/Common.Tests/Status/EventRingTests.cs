using Hecatonchire.Hosting;
using Hecatonchire.Status;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Hecatonchire.Tests.Status;

public sealed class EventRingTests
{
    private readonly EventRing _ring = new(TimeProvider.System);

    [Fact]
    public void Keeps_the_last_that_was_said_at_information_and_above_each_in_one_line()
    {
        ILogger logger = _ring.CreateLogger("Hecatonchire.Pager");
        for (int i = 0; i < EventRing.EventsMax + 10; i++)
        {
            Say(logger, LogLevel.Information, $"number {i}");
        }

        Say(logger, LogLevel.Debug, "not this");
        Say(logger, LogLevel.Error, "two\r\nlines " + new string('x', 5000));
        IReadOnlyList<LoggedEvent> events = _ring.Events;
        Assert.Equal(EventRing.EventsMax, events.Count);
        Assert.Equal(("error", "Pager", EventRing.EventsMax + 11), (events[0].Level, events[0].Source, events[0].Number));
        Assert.StartsWith("two lines xxx", events[0].Message, StringComparison.Ordinal);
        Assert.InRange(events[0].Message.Length, 1000, 1010);
        Assert.Equal($"number {EventRing.EventsMax + 9}", events[1].Message);
    }

    [Fact]
    public void Gets_information_whatever_goes_to_standard_error_and_nothing_of_what_libraries_say_of_themselves()
    {
        using (ILoggerFactory loggers = LoggerFactory.Create(logging => DaemonLogging.Configure(logging, LogLevel.Critical, LogFormat.Text, _ring)))
        {
            Say(loggers.CreateLogger("heca.run"), LogLevel.Information, "started");
            Say(loggers.CreateLogger("heca.run"), LogLevel.Debug, "not this");
            Say(loggers.CreateLogger("Microsoft.Hosting.Lifetime"), LogLevel.Information, "nor this");
        }

        Assert.Equal(["started"], _ring.Events.Select(one => one.Message));
    }

    [Fact]
    public async Task Many_threads_lose_nothing_of_the_count()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            ILogger logger = _ring.CreateLogger("x");
            for (int i = 0; i < 1000; i++)
            {
                Say(logger, LogLevel.Warning, "said");
            }
        })));
        Assert.Equal(Enumerable.Range(8000 - EventRing.EventsMax + 1, EventRing.EventsMax).Reverse(), _ring.Events.Select(one => (int)one.Number));
    }

    private static void Say(ILogger logger, LogLevel level, string text) => logger.Log(level, default, text, null, static (state, _) => state);
}
