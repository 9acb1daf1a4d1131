using Hecatonchire.Install;
using Hecatonchire.Pager;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Transport;

namespace Hecatonchire.Tests.Simulations;

/// <summary>
/// The pager dies in the midst of a round, and another goes on from the page tables that are left: what it had ordered is carried out by the evictor, of what
/// it had sent some takes effect and the rest never does. The program and its children come to the next one in any order; that one may die before all have.
/// </summary>
internal sealed unsafe partial class Simulation
{
    /// <summary>Calls in which a round's death is due, at most.</summary>
    private const int DeathCallsMax = 60;

    private readonly PagerDeath _death = new();
    private readonly List<IDisposable> _left = [];
    private PageTableFile? _tables;

    /// <summary>Pagers that died and whose program went on, and programs that were stopped, children too.</summary>
    public long Deaths { get; private set; }

    public long Stops { get; private set; }

    /// <summary>Changes of the address space that one pager had read and another carried out.</summary>
    public long ChangesTakenOver { get; private set; }

    /// <summary>Children that have gone on with another pager, and found all they had to their end.</summary>
    public long ChildrenTakenOver { get; private set; }

    private bool MayDie => _settings.DeathsPerMillion > 0 && _current is null or { Kind: PagerRequestKind.ResizeFromOutside } && !IsForking;

    private sealed class ProgramStoppedException : Exception;

    /// <summary>A process that comes to a new pager: the program, where there is no child.</summary>
    private sealed class Returning(SimulatedChild? child, SimulatedProgramMemory memory, PageTableFile left, FaultEvent[] unnoted)
    {
        public SimulatedChild? Child => child;

        public SimulatedProgramMemory Memory => memory;

        public PageTableFile Left => left;

        public FaultEvent[] Unnoted => unnoted;

        public PagerCore Core { get; set; } = null!;

        public PageTableFile Fresh { get; set; } = null!;
    }

    /// <summary>One round of a pager that may die in it. False when it has: another is in its place.</summary>
    private bool RunOnceOrDie(PagerCore core)
    {
        _death.After(MayDie && _random.Next(1_000_000) < _settings.DeathsPerMillion ? _random.Next(1, DeathCallsMax) : 0);
        try
        {
            _ = core.RunOnce();
            return true;
        }
        catch (PagerDeathException)
        {
            TakeOver(core);
            return false;
        }
        finally
        {
            _death.After(0);
        }
    }

    /// <param name="dead">The core in whose round it died.</param>
    private void TakeOver(PagerCore dead)
    {
        if (_phase == ChangePhase.Removing && _memory.StepZap())
        {
            // That the pager has read of it woke the thread: it goes on at once, and another pager is there many thousand times later.
            (_phase, _avoided) = (ChangePhase.None, default);
        }

        _memory.ForgetRing();
        ApplySome(_reader);
        ApplySome(_writer);
        FaultEvent[] messages = [.. _death.Messages];
        _death.Messages.Clear();
        if (HasFork(_core, _tables!))
        {
            Stops++;
            throw new ProgramStoppedException();
        }

        bool HasFork(PagerCore core, PageTableFile tables) => tables.HasUntold || (core == dead && Array.Exists(messages, change => change.Kind == FaultKind.Forked));
        FaultEvent[] UnnotedOf(PagerCore core, PageTableFile tables) => core == dead ? messages[Math.Min(tables.MessagesNoted, messages.Length)..] : [];
        var returning = new List<Returning> { new(null, _memory, _tables!, UnnotedOf(_core, _tables!)) };
        foreach (SimulatedChild child in _children.Where(child => !child.IsStopped))
        {
            // Who has not said HELLO holds no tables.
            child.IsStopped = child.IsGone || !child.Memory.HasEvictor || HasFork(child.Core, child.Tables!);
            Stops += child is { IsStopped: true, IsGone: false } ? 1 : 0;
            if (!child.IsStopped)
            {
                child.Memory.ForgetRing();
                returning.Add(new(child, child.Memory, child.Tables!, UnnotedOf(child.Core, child.Tables!)));
                _left.Add(child.Core);
            }
        }

        // Its buffers and tables stay until the end: it has not freed them.
        _left.Add(_core);
        while (_random.Next(3) == 0)
        {
            returning = DieBeforeAllHaveCome(returning);
        }

        Bring(returning);
        foreach (Returning one in returning)
        {
            _left.Add(one.Left);
            if (one.Child is { } child)
            {
                (child.Core, child.Tables, child.IsTakenOver) = (one.Core, one.Fresh, true);
            }
            else
            {
                (_core, _tables) = (one.Core, one.Fresh);
            }
        }

        LimitByPressure(_pressurePages == long.MaxValue ? long.MaxValue : _pressurePages);
        EndOutsideByDeath();
        returning.ForEach(one => one.Core.BeginAfterTakeOver());
        Deaths++;
    }

    /// <summary>Some have got new tables, and hold them or not; what they come to the next pager with.</summary>
    private List<Returning> DieBeforeAllHaveCome(List<Returning> returning)
    {
        List<Returning> come = [.. returning.OrderBy(_ => _random.Next()).Take(_random.Next(1, returning.Count + 1))];
        Bring(come);
        bool isAbandoned = _random.Next(2) == 0;
        SlotMap slots = come[0].Core.Slots;
        foreach (Returning one in come)
        {
            if (isAbandoned)
            {
                // Not even dead: it has lost sight of them.
                one.Fresh.IsKept = true;
                one.Core.Abandon();
                StopWriting(slots, one.Fresh);
            }

            _left.Add(one.Core);
        }

        if (isAbandoned && slots.FreeSlots != slots.TotalSlots)
        {
            throw new SimulationException($"{slots.TotalSlots - slots.FreeSlots} slots belong to nobody who is here");
        }

        return [.. returning.Select(one => come.Contains(one) ? HoldEither(one) : one)];
    }

    private Returning HoldEither(Returning one)
    {
        bool holdsFresh = _random.Next(2) == 0;
        _left.Add(holdsFresh ? one.Left : one.Fresh);
        return new(one.Child, one.Memory, holdsFresh ? one.Fresh : one.Left, holdsFresh ? [] : one.Unnoted);
    }

    /// <summary>A new pager for those that come, in this order: the first brings which slabs there are.</summary>
    private void Bring(List<Returning> come)
    {
        ConnectAnew();
        SlotMap? slots = null;
        foreach (Returning one in come.OrderBy(_ => _random.Next()))
        {
            if (_settings.ForgetsChanges)
            {
                one.Left.FinishChanges();
            }

            using PageTableFile left = PageTableFile.Open(one.Left.Descriptor);
            if (slots is null || _settings.ForgetsFamily)
            {
                slots = SlotsOf(left);
                _left.Add(slots);
            }

            one.Fresh = MakeTables(slots)!;
            one.Core = MakeCore(one.Memory, slots, isHeir: one.Child is null, one.Fresh);
            one.Core.TakeOver(left, one.Unnoted);
            ChangesTakenOver += left.Changes.Length + one.Unnoted.Length;
        }
    }

    private static SlotMap SlotsOf(PageTableFile left)
    {
        var slots = new SlotMap();
        for (int i = 0; i < SlotMap.SlabsMax; i++)
        {
            if (left.Slabs[(2 * i) + 1] != 0)
            {
                slots.Place(i, left.Slabs[2 * i], (uint)left.Slabs[(2 * i) + 1]);
            }
        }

        return slots;
    }

    private PageTableFile? MakeTables(SlotMap slots)
    {
        PageTableFile? tables = _settings.DeathsPerMillion > 0 ? PageTableFile.Create() : null;
        if (tables is not null)
        {
            slots.AddDirectory(tables.Slabs);
            tables.OnCursor = _death.Tick;
        }

        return tables;
    }

    private static void StopWriting(SlotMap slots, PageTableFile? tables)
    {
        if (tables is not null)
        {
            slots.RemoveDirectory(tables.Slabs);
        }
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
