using Hecatonchire.Tests.Kernel;
using Hecatonchire.Tests.Program;

namespace Hecatonchire.Tests.Simulations;

/// <summary>What the program does to its address space itself, one system call at a time; its other threads keep away from the range.</summary>
internal sealed partial class Simulation
{
    private enum ChangePhase
    {
        None,

        /// <summary>madvise: the kernel drops the pages once the pager knows.</summary>
        Removing,

        /// <summary>munmap or mremap has returned, or will: something else is in the old place.</summary>
        Replaced,
    }

    private ChangePhase _phase;
    private (int First, int Pages) _changed;
    private long _changedAt;

    /// <summary>The program goes on with its system call in one of so many steps.</summary>
    private int _haste;

    public long Changes { get; private set; }

    private bool IsChanging => _phase != ChangePhase.None;

    private void Change(SimulatedSegment segment)
    {
        int offset = _random.Next(segment.Pages);
        int most = segment.Pages - offset;
        _changed = (segment.First + offset, _random.Next(1, (_random.Next(2) == 0 ? most : Math.Min(most, 32)) + 1));
        SimulatedSegment? target = _segments.Find(other => other != segment && other.Pages >= _changed.Pages);
        if (_threads.Any(thread => IsIn(_changed, thread.Page) || (target is not null && IsIn((target.First, target.Pages), thread.Page))))
        {
            // It is used; and what two threads do to one place at once, nobody can check.
            return;
        }

        Changes++;
        _changedAt = _now;
        _haste = _random.Next(3) == 0 ? 400 : 4;
        _avoided = _changed;
        switch (_random.Next(3))
        {
            case 0:
                _phase = ChangePhase.Removing;
                _memory.BeginRemove(_changed.First, _changed.Pages);
                ForgetChanged();
                break;
            case 1 when target is not null:
                _phase = ChangePhase.Replaced;
                _memory.Remap(_changed.First, _changed.Pages, target.First);
                for (int i = 0; i < _changed.Pages; i++)
                {
                    _model.Move(_changed.First + i, target.First + i);
                }

                break;
            default:
                _phase = ChangePhase.Replaced;
                _memory.Replace(_changed.First, _changed.Pages);
                ForgetChanged();
                break;
        }
    }

    private void StepChange(bool mayStart)
    {
        if (_phase == ChangePhase.None)
        {
            if (_settings.TellsChanges && mayStart && !HasRequest && _segments.Count > 0 && _random.Next(1000) < _settings.ChangesPerThousand)
            {
                Change(_segments[_random.Next(_segments.Count)]);
            }

            return;
        }

        if (_random.Next(_haste) != 0)
        {
            return;
        }

        if (_now - _changedAt > HangSteps)
        {
            throw new SimulationException($"hang: the program waits in a change of pages {_changed} ({_phase})");
        }

        if (_phase == ChangePhase.Removing)
        {
            if (!_memory.StepZap())
            {
                return;
            }
        }
        else if (_memory.IsChanging || _core.IsChangePending)
        {
            return;
        }
        else
        {
            // As the pager takes new memory over: when nothing of the old is left.
            _memory.Reclaim(_changed.First, _changed.Pages);
        }

        _phase = ChangePhase.None;
        _avoided = default;
    }

    private void ForgetChanged()
    {
        for (int page = _changed.First; page < _changed.First + _changed.Pages; page++)
        {
            _model.Forget(page);
        }
    }

    private static bool IsIn((int First, int Pages) range, int page) => page >= range.First && page < range.First + range.Pages;
}
