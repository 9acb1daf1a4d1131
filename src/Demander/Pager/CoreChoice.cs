namespace Hecatonchire.Pager;

/// <summary>
/// Decides whether the pager runs on the core of the program's only faulting thread or where the scheduler puts it, by trying both.
/// Neither is better everywhere. On one core nothing wakes across cores, which a virtual machine pays with 20 to 30 us;
/// on two the pager is awake when the fault comes, which wins where a switch between processes is dear or the sponsor's processor
/// takes no part. What is compared is the median time from one hard fault to the next: the program's own time is in it, so that a
/// core the program needs counts too. With several faulting threads, or while prefetch brings in most pages (pager and program then
/// work at the same time), the scheduler decides. Allocates nothing; one thread uses it.
/// </summary>
internal sealed class CoreChoice
{
    private const long FaultsPerLook = 512;

    /// <summary>Hard faults of a trial on each side, and how many of them only warm up the side that is new.</summary>
    private const int TrialFaults = 40;
    private const int TrialWarmUp = 8;

    /// <summary>Hard faults until the other side is tried again: as few after a change, twice as many each time nothing changes.</summary>
    private const long HoldMin = 512;
    private const long HoldMax = 1 << 18;

    private readonly long[] _intervals = new long[TrialFaults - TrialWarmUp];
    private long _nextLook = 64;
    private long _prefetched;
    private long _hardFaults;
    private int _thread;
    private bool _shareIsBetter = true;
    private Trial _trial;
    private int _trialFaults;
    private long _lastFault;
    private long _lastHardFaults;
    private long _firstMedian;
    private long _nextTrial;
    private long _hold = HoldMin;

    private enum Trial
    {
        None,

        /// <summary>What is believed to be better is measured.</summary>
        Believed,

        /// <summary>The other is measured.</summary>
        Other,
    }

    /// <summary>True when the pager is to run on the core of <see cref="Thread"/>.</summary>
    public bool Shares { get; private set; }

    /// <summary>True while a trial runs.</summary>
    public bool IsTrying => _trial != Trial.None;

    /// <summary>The thread id of the program's only faulting thread, where <see cref="Shares"/>.</summary>
    public int Thread => _thread;

    /// <summary>Called in every round of the pager. True when where it runs is to be set anew.</summary>
    /// <param name="thread">The newest fault's.</param>
    /// <param name="counters">The pager's.</param>
    /// <param name="now">In any unit; looked at only while <see cref="IsTrying"/>.</param>
    public bool Note(int thread, PagerCounters counters, long now)
    {
        if (_trial != Trial.None && counters.HardFaults != _lastHardFaults)
        {
            _lastHardFaults = counters.HardFaults;
            if (NoteTrial(thread, counters, now))
            {
                return true;
            }
        }

        return counters.Faults >= _nextLook && thread != 0 && Look(thread, counters);
    }

    private bool Look(int thread, PagerCounters counters)
    {
        _nextLook = counters.Faults + FaultsPerLook;
        bool isDemandBound = counters.PagesPrefetched - _prefetched < counters.HardFaults - _hardFaults;
        (_prefetched, _hardFaults) = (counters.PagesPrefetched, counters.HardFaults);
        bool isAlone = thread == _thread && isDemandBound;
        _thread = thread;
        if (!isAlone)
        {
            _trial = Trial.None;
            bool shared = Shares;
            Shares = false;
            return shared;
        }

        if (_trial == Trial.None)
        {
            Shares = _shareIsBetter;
            if (counters.HardFaults >= _nextTrial)
            {
                Begin(Trial.Believed, counters);
            }
        }

        // Where it shares, the thread may be on another core by now.
        return true;
    }

    private void Begin(Trial trial, PagerCounters counters) =>
        (_trial, _trialFaults, _lastFault, _lastHardFaults) = (trial, 0, 0, counters.HardFaults);

    /// <summary>A hard fault during a trial.</summary>
    private bool NoteTrial(int thread, PagerCounters counters, long now)
    {
        if (thread != _thread)
        {
            // Not alone any more: the next look decides.
            _trial = Trial.None;
            bool changes = Shares != _shareIsBetter;
            Shares = _shareIsBetter;
            return changes;
        }

        int sample = _trialFaults - TrialWarmUp;
        if (sample >= 0)
        {
            _intervals[sample] = now - _lastFault;
        }

        _lastFault = now;
        if (++_trialFaults < TrialFaults)
        {
            return false;
        }

        Array.Sort(_intervals);
        long median = _intervals[_intervals.Length / 2];
        if (_trial == Trial.Believed)
        {
            _firstMedian = median;
            Shares = !_shareIsBetter;
            Begin(Trial.Other, counters);
            return true;
        }

        // Nearly as good is not better: no going back and forth.
        bool changed = median < _firstMedian - (_firstMedian / 16);
        _shareIsBetter ^= changed;
        _hold = changed ? HoldMin : Math.Min(_hold * 2, HoldMax);
        _nextTrial = counters.HardFaults + _hold;
        _trial = Trial.None;
        Shares = _shareIsBetter;
        return !changed;
    }
}
