using Hecatonchire.Pager;
using Hecatonchire.Pages;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Tests.Program;

namespace Hecatonchire.Tests.Simulations;

/// <summary>
/// The program forks, while its other threads run, and change its address space as they do; but for madvise, which waits for the end of a fork. A child reads and writes what it has for a while, checks all
/// of it, and ends.
/// </summary>
internal sealed partial class Simulation
{
    private const int ChildrenMax = 3;

    private enum ForkPhase
    {
        None,
        Announced,

        /// <summary>Done, and not told yet.</summary>
        Forked,
        Told,

        /// <summary>Through, and not acknowledged.</summary>
        Leaving,
    }

    private readonly List<SimulatedChild> _children = [];
    private ForkPhase _forkPhase;
    private SimulatedChild? _forked;
    private long _forkedAt;

    public long Forks { get; private set; }

    public long ChildAccesses { get; private set; }

    private bool IsForking => _forkPhase != ForkPhase.None;

    private void StepFork(bool mayStart)
    {
        if (!_settings.Captures || _random.Next(_forkPhase == ForkPhase.None ? 400 : 6) != 0)
        {
            return;
        }

        if (IsForking && _now - _forkedAt > HangSteps)
        {
            throw new SimulationException($"hang: the program is in fork ({_forkPhase})");
        }

        switch (_forkPhase)
        {
            case ForkPhase.None when mayStart && _children.Count < ChildrenMax && Captured > 0 && _phase != ChangePhase.Removing:
                _forkPhase = ForkPhase.Announced;
                _forkedAt = _now;
                _memory.AskFork();
                break;
            case ForkPhase.Announced when _memory.IsForkAcknowledged && !_core.SponsorLost:
                _forkPhase = ForkPhase.Forked;
                Forks++;
                _forked = new SimulatedChild(_memory.Fork(threads: 2, _settings.Seed + (int)Forks), _model.Fork(), _segments, IsChanging ? _changed : default, _settings.Seed + (int)Forks);
                break;
            case ForkPhase.Announced when _memory.IsForkAcknowledged:
                // It has failed.
                _forkPhase = ForkPhase.Leaving;
                _memory.AskFork();
                break;
            case ForkPhase.Forked:
                _forkPhase = ForkPhase.Told;
                _memory.TellFork();
                break;
            case ForkPhase.Told when !_memory.IsForkUnread:
                _forkPhase = ForkPhase.Leaving;
                _memory.AskFork();
                break;
            case ForkPhase.Leaving when _memory.IsForkAcknowledged:
                _forkPhase = ForkPhase.None;
                if (_forked is not null)
                {
                    throw new SimulationException("fork returned, and the child has no core");
                }

                break;
        }
    }

    /// <summary>The pager has come to the fork.</summary>
    private PagerCore? BeginChild()
    {
        SimulatedChild child = _forked!;
        _forked = null;
        child.Tables = MakeTables(_core.Slots);
        child.Core = MakeCore(child.Memory, _core.Slots, isHeir: false, child.Tables);
        child.RunOnce = () => RunOnceOrDie(child.Core);
        child.Memory.Counted = () => child.Core.OccupiedPages;
        _children.Add(child);
        return child.Core;
    }

    private void StepChildren()
    {
        for (int i = _children.Count - 1; i >= 0; i--)
        {
            SimulatedChild child = _children[i];
            if (child.IsStopped)
            {
                _children.RemoveAt(i);
                child.Dispose();
                continue;
            }

            if (_random.Next(2) == 0)
            {
                child.Step(_now, mayStart: !child.IsEnding, _random);
                Check(child);
            }

            if (!child.IsEnding && child.Core.Slots.TotalSlots > 0 && _random.Next(3000) == 0)
            {
                child.IsEnding = true;
            }

            if (child.IsEnding && child.StepEnd())
            {
                ChildAccesses += child.Accesses;
                ChildrenTakenOver += child.IsTakenOver ? 1 : 0;
                StopWriting(child.Core.Slots, child.Tables);
                _children.RemoveAt(i);
                child.Dispose();
            }
        }
    }

    private void Check(SimulatedChild child)
    {
        if (child.IsStopped)
        {
            return;
        }

        if (child.Describe(_now, HangSteps) is { } problem)
        {
            throw new SimulationException("child: " + problem);
        }

        if (child.Core.MustStopProgram || (child.BusErrors > 0 && !child.Core.SponsorLost))
        {
            throw new SimulationException($"the pager gives a child up, errno {child.Core.Counters.LastProgramErrno}, {child.BusErrors} bus errors");
        }
    }

    private void EndChildren()
    {
        _children.ForEach(child => child.IsEnding = true);
        for (int i = 0; i < HangSteps * 2 && _children.Count > 0; i++)
        {
            Step(mayStart: false);
        }

        if (_children.Count > 0)
        {
            throw new SimulationException("a child does not come to its end");
        }
    }

    /// <summary>A forked child. Its end: reads all it has back, then exits in the midst of whatever the pager does for it.</summary>
    private sealed class SimulatedChild : IDisposable
    {
        private readonly PageModel _model;
        private readonly List<SimulatedSegment> _segments;
        private readonly SimulatedThread[] _threads;
        private readonly List<int> _toRead = [];

        public SimulatedChild(SimulatedProgramMemory memory, PageModel model, List<SimulatedSegment> segments, (int First, int Pages) changing, int seed)
        {
            (Memory, _model, _segments) = (memory, model, [.. segments]);
            _threads = [.. Enumerable.Range(0, 2).Select(i => new SimulatedThread(i, memory, model, _segments, seed + (100 * i)) { IsAvoided = page => IsIn(changing, page) })];
            foreach (SimulatedSegment segment in segments)
            {
                _toRead.AddRange(Enumerable.Range(segment.First, segment.Pages).Where(page => !IsIn(changing, page)));
            }
        }

        public SimulatedProgramMemory Memory { get; }

        public PagerCore Core { get; set; } = null!;

        /// <summary>What its pager's death leaves; null where none dies.</summary>
        public PageTableFile? Tables { get; set; }

        /// <summary>A round of its pager, which may die in it.</summary>
        public Func<bool> RunOnce { get; set; } = null!;

        public bool IsEnding { get; set; }

        /// <summary>It has ended, and the pager may have something under way for it.</summary>
        public bool IsGone { get; private set; }

        /// <summary>Its pager has died, and it cannot go on with another.</summary>
        public bool IsStopped { get; set; }

        public bool IsTakenOver { get; set; }

        public long Accesses => _threads.Sum(thread => thread.Accesses);

        public long BusErrors => _threads.Sum(thread => thread.BusErrors);

        public void Step(long now, bool mayStart, Random random)
        {
            switch (random.Next(4))
            {
                case 0 or 1:
                    _ = RunOnce();
                    break;
                case 2 when Memory.HasEvictor:
                    _ = Memory.StepEvictor();
                    break;
                case 2:
                    // HELLO comes some time later.
                    Memory.HasEvictor = random.Next(20) == 0;
                    break;
                case 3 when !IsGone:
                    _threads[random.Next(2)].Step(now, mayStart);
                    break;
            }
        }

        /// <summary>True when nothing of it is left.</summary>
        public bool StepEnd()
        {
            foreach (SimulatedThread thread in _threads)
            {
                if (thread.IsIdle && _toRead.Count > 0)
                {
                    thread.Read(_toRead[^1]);
                    _toRead.RemoveAt(_toRead.Count - 1);
                }
            }

            if (!IsGone && _toRead.Count == 0 && _threads.All(thread => thread.IsIdle))
            {
                IsGone = true;
                Core.NoteProgramGone();
            }

            if (!IsGone || !(Core.IsDrained || Core.SponsorLost))
            {
                return false;
            }

            Core.ReleaseSlots();
            return true;
        }

        public string? Describe(long now, long hangSteps)
        {
            for (int i = 0; i < _threads.Length; i++)
            {
                if (_threads[i].StoppedSince >= 0 && now - _threads[i].StoppedSince > hangSteps)
                {
                    return "hang: " + Memory.Describe(i);
                }
            }

            return null;
        }

        public void Dispose()
        {
            Core?.Dispose();
            Tables?.Dispose();
            Memory.Dispose();
        }
    }
}
