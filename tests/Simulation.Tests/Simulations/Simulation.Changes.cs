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

        /// <summary>munmap of memory that is not the pager's; something is mapped in its place later.</summary>
        Hole,
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
        if (_seen.Pages > 0 && _random.Next(2) == 0)
        {
            // Just where the pager has looked.
            offset = _seen.First;
            segment = _segments.Find(other => IsIn((other.First, other.Pages), offset))!;
            offset -= segment.First;
        }
        else if (_settings.Captures && _random.Next(4) == 0)
        {
            // Where a mapping ends and the program's own begins.
            while (offset < segment.Pages - 1 && !(_memory.IsOwn(segment.First + offset) && IsEndOfRegistered(segment.First + offset)))
            {
                offset++;
            }
        }

        int most = segment.Pages - offset;
        _changed = (segment.First + offset, _random.Next(1, (_random.Next(2) == 0 ? most : Math.Min(most, 32)) + 1));
        SimulatedSegment? target = _segments.Find(other => other != segment && other.Pages >= _changed.Pages);
        if (_threads.Any(thread => IsIn(_changed, thread.Page) || (target is not null && IsIn((target.First, target.Pages), thread.Page))))
        {
            // It is used; and what two threads do to one place at once, nobody can check.
            return;
        }

        if (_settings.Captures && !IsOfOneKind(ref target))
        {
            return;
        }

        if (_settings.Captures && _memory.IsOwn(_changed.First) && IsEndOfRegistered(_changed.First) && _random.Next(2) == 0)
        {
            Changes++;
            _memory.GrowOver(_changed.First, _changed.Pages);
            ForgetChanged();
            return;
        }

        KernelPage with = _settings.Captures ? KernelPage.Own : KernelPage.Foreign;
        Changes++;
        _changedAt = _now;
        _haste = _random.Next(3) == 0 ? 400 : 4;
        _avoided = _changed;
        switch (_random.Next(3))
        {
            case 0 when _memory.IsOwn(_changed.First) && _random.Next(2) == 0:
                // For a while there is nothing.
                _phase = ChangePhase.Hole;
                _memory.UnmapOwn(_changed.First, _changed.Pages);
                ForgetChanged();
                break;
            case 0 when _memory.IsOwn(_changed.First):
                _memory.DropOwn(_changed.First, _changed.Pages);
                ForgetChanged();
                _avoided = default;
                break;
            case 0 when !IsForking:
                _phase = ChangePhase.Removing;
                _memory.BeginRemove(_changed.First, _changed.Pages);
                ForgetChanged();
                break;
            case 1 when target is not null && !(IsForking && _memory.IsAnyRegistered(target.First, _changed.Pages)):
                _phase = ChangePhase.Replaced;
                _memory.Remap(_changed.First, _changed.Pages, target.First, with, isTargetLate: _settings.Captures && _random.Next(3) == 0);
                for (int i = 0; i < _changed.Pages; i++)
                {
                    _model.Move(_changed.First + i, target.First + i);
                }

                break;
            default:
                _phase = ChangePhase.Replaced;
                _memory.Replace(_changed.First, _changed.Pages, with);
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
        else if (_phase == ChangePhase.Hole)
        {
            _memory.MapOwn(_changed.First, _changed.Pages);
        }
        else if (_memory.IsChanging || (_core.IsChangePending && !_settings.Captures))
        {
            return;
        }
        else if (!_settings.Captures)
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

    private bool IsEndOfRegistered(int page) => page > 0 && _memory.IsRegistered(page - 1) && _memory[page - 1] != KernelPage.Other;

    /// <summary>One system call is about the pager's memory or about the program's own; what it can move is the pager's.</summary>
    private bool IsOfOneKind(ref SimulatedSegment? target)
    {
        bool isOwn = _memory.IsOwn(_changed.First);
        for (int page = _changed.First; page < _changed.First + _changed.Pages; page++)
        {
            if (_memory.IsOwn(page) != isOwn)
            {
                return false;
            }
        }

        target = isOwn ? null : target;
        return true;
    }

    private static bool IsIn((int First, int Pages) range, int page) => page >= range.First && page < range.First + range.Pages;
}
