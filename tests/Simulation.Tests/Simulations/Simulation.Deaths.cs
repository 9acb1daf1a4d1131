using Hecatonchire.Pager;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Transport;

namespace Hecatonchire.Tests.Simulations;

/// <summary>
/// The pager dies in the midst of a round, and another goes on from the page tables that are left: what it had ordered is carried out by the evictor, of what
/// it had sent some takes effect and the rest never does.
/// </summary>
internal sealed unsafe partial class Simulation
{
    /// <summary>Calls in which a round's death is due, at most.</summary>
    private const int DeathCallsMax = 60;

    private readonly PagerDeath _death = new();
    private readonly List<IDisposable> _left = [];
    private PageTableFile? _tables;

    /// <summary>Pagers that died and whose program went on, and such whose program was stopped.</summary>
    public long Deaths { get; private set; }

    public long Stops { get; private set; }

    private bool MayDie => _settings.DeathsPerMillion > 0 && _current is null && _children.Count == 0 && !IsForking;

    private sealed class ProgramStoppedException : Exception;

    /// <summary>One round of a pager that may die in it. False when it has: another is in its place.</summary>
    private bool RunOnceOrDie()
    {
        _death.After(MayDie && _random.Next(1_000_000) < _settings.DeathsPerMillion ? _random.Next(1, DeathCallsMax) : 0);
        try
        {
            _ = _core.RunOnce();
            return true;
        }
        catch (PagerDeathException)
        {
            TakeOver();
            return false;
        }
        finally
        {
            _death.After(0);
        }
    }

    private void TakeOver()
    {
        _memory.ForgetRing();
        ApplySome(_reader);
        ApplySome(_writer);
        if (_death.HasUnnoted || _tables!.ChangesPending)
        {
            Stops++;
            throw new ProgramStoppedException();
        }

        // Its buffers and tables stay until the end: it has not freed them.
        _left.Add(_core);
        _left.Add(_tables);
        using PageTableFile left = PageTableFile.Open(_tables.Descriptor);
        ConnectAnew();
        _tables = PageTableFile.Create();
        var slots = new SlotMap();
        for (int i = 0; i < SlotMap.SlabsMax; i++)
        {
            if (left.Slabs[(2 * i) + 1] != 0)
            {
                slots.Place(i, left.Slabs[2 * i], (uint)left.Slabs[(2 * i) + 1]);
            }
        }

        slots.Directory = _tables.Slabs;
        _left.Add(slots);
        _core = MakeCore(_memory, slots, isHeir: true);
        LimitByPressure(_pressurePages == long.MaxValue ? long.MaxValue : _pressurePages);
        _core.TakeOver(left);
        _core.BeginAfterTakeOver();
        Deaths++;
    }

    private void ApplySome(IDataConnection connection)
    {
        var completions = new DataCompletion[64];
        for (int polls = _random.Next(3); polls > 0; polls--)
        {
            _ = connection.Poll(completions.AsSpan(0, _random.Next(1, completions.Length)));
        }
    }

    private void ConnectAnew()
    {
        _left.Add(_reader);
        _left.Add(_writer);
        _reader = Connect(_settings.Seed + (100 * ++_connections), endsAt: 0);
        _writer = Connect(_settings.Seed + (100 * ++_connections), endsAt: 0);
        (_readerShare, _writerShare) = (new ConnectionShare(new DyingConnection(_reader, _death)), new ConnectionShare(new DyingConnection(_writer, _death)));
    }
}
