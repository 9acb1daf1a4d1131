using Hecatonchire.Pager;
using Xunit;

namespace Hecatonchire.Tests.Pager;

/// <summary>Where the pager comes to run, by what a fault takes on one core and on two.</summary>
public class CoreChoiceTests
{
    private const int Program = 4711;

    private readonly CoreChoice _choice = new();
    private readonly PagerCounters _counters = new();
    private readonly Random _random = new(7);
    private long _now;
    private long _shared;

    [Theory]
    [InlineData(130, 220, true)]
    [InlineData(480, 200, false)]
    [InlineData(200, 196, true)] // as good as equal: where it was
    public void The_better_of_both_is_kept(int onOneCore, int onTwo, bool shares)
    {
        Faults(100_000, onOneCore, onTwo);

        Assert.Equal(shares, _choice.Shares);
        Assert.InRange(shares ? 100_000 - _shared : _shared, 0, 1_000);
    }

    [Fact]
    public void A_slow_fault_now_and_then_decides_nothing()
    {
        for (int i = 0; i < 2_000; i++)
        {
            Faults(9, onOneCore: 130, onTwo: 220);
            Faults(1, onOneCore: 20_000, onTwo: 130);
        }

        Assert.True(_choice.Shares);
    }

    [Fact]
    public void What_has_become_better_is_found()
    {
        Faults(20_000, onOneCore: 130, onTwo: 220);
        Faults(50_000, onOneCore: 480, onTwo: 200);

        Assert.False(_choice.Shares);
    }

    [Fact]
    public void Several_threads_share_with_nobody()
    {
        Faults(2_000, onOneCore: 130, onTwo: 220);
        Assert.True(_choice.Shares);
        for (int i = 0; i < 3_000; i++)
        {
            Fault(Program + (i % 3), 130, 220);
        }

        Assert.False(_choice.Shares);
    }

    [Fact]
    public void Another_thread_during_a_trial_ends_it()
    {
        while (!_choice.IsTrying)
        {
            Fault(Program, 130, 220);
        }

        Fault(Program + 1, 130, 220);

        Assert.False(_choice.IsTrying);
        Assert.True(_choice.Shares);
    }

    [Fact]
    public void A_prefetched_stream_has_a_core_of_its_own()
    {
        Faults(2_000, onOneCore: 130, onTwo: 220);
        for (int i = 0; i < 2_000; i++)
        {
            _counters.PagesPrefetched += 64;
            Fault(Program, 130, 220);
        }

        Assert.False(_choice.Shares);
        Faults(2_000, onOneCore: 130, onTwo: 220);
        Assert.True(_choice.Shares);
    }

    private void Faults(int count, int onOneCore, int onTwo)
    {
        for (int i = 0; i < count; i++)
        {
            Fault(Program, onOneCore, onTwo);
        }
    }

    private void Fault(int thread, int onOneCore, int onTwo)
    {
        int time = _choice.Shares ? onOneCore : onTwo;
        _now += time + _random.Next(time / 8);
        _shared += _choice.Shares ? 1 : 0;
        _counters.Faults++;
        _counters.HardFaults++;
        _ = _choice.Note(thread, _counters, _now);
    }
}
