using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Status;
using Xunit;

namespace Hecatonchire.Tests.Status;

public sealed class LiveFiguresTests
{
    private readonly Clock _clock = new();
    private readonly LatencyHistogram _latencies = new();
    private readonly LiveFigures _live;
    private PagerSnapshot _now = new() { Transport = "tcp", TransportReason = "" };

    public LiveFiguresTests() => _live = new LiveFigures(() => _now, _latencies.CopyTo, _clock);

    [Fact]
    public void Rates_and_percentiles_are_of_the_last_ten_seconds_alone()
    {
        LiveReport first = _live.Now();
        Assert.Equal((0, 0, null, null), (first.Seconds, first.FaultsPerS, first.FaultLatencyUs, first.PrefetchAccuracy));

        // Slow ones at first, then fast ones for half a minute; asked more often than once a second.
        Fault(100, 5_000_000);
        for (int i = 0; i < 120; i++)
        {
            _clock.Advance(0.25);
            Fault(50, 20_000);
            _now = _now with { PrefetchUsed = _now.PrefetchUsed + 3, PrefetchWasted = _now.PrefetchWasted + 1 };
            LiveReport report = _live.Now();
            Assert.InRange(report.Seconds, 0.1, 10.5);
            Assert.True(i >= 38 || report.FaultLatencyUs![3] > 4000, $"{i}");
        }

        LiveReport last = _live.Now();
        Assert.InRange(last.Seconds, 9, 10);
        Assert.InRange(last.FaultsPerS, 199, 201);
        Assert.All(last.FaultLatencyUs!, us => Assert.InRange(us, 19, 21));
        Assert.Equal(0.75, last.PrefetchAccuracy);
    }

    [Fact]
    public void After_a_pause_or_with_another_program_it_begins_anew()
    {
        _ = _live.Now();
        Fault(100, 20_000);
        _clock.Advance(60);
        Assert.Equal(0, _live.Now().Seconds);
        _clock.Advance(2);
        Fault(10, 20_000);
        Assert.Equal(5, _live.Now().FaultsPerS);

        _now = _now with { Faults = 3 };
        _latencies.Clear();
        _clock.Advance(2);
        Assert.Equal((0, 0), (_live.Now().Seconds, _live.Now().FaultsPerS));
    }

    private void Fault(int count, long nanoseconds)
    {
        _now = _now with { Faults = _now.Faults + count };
        for (int i = 0; i < count; i++)
        {
            _latencies.Record(nanoseconds);
        }
    }

    private sealed class Clock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Advance(double seconds) => _ticks += (long)(seconds * TimeSpan.TicksPerSecond);
    }
}
