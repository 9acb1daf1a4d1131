using Hecatonchire.Pager;
using Hecatonchire.Pages;
using Hecatonchire.Placement;
using Hecatonchire.Prefetch;
using Hecatonchire.Tests.Kernel;
using Hecatonchire.Tests.Program;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Faulty;
using Hecatonchire.Transport.InMemory;
using Hecatonchire.Transport.Reconnecting;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;
using Xunit;

namespace Hecatonchire.Tests.Simulations;

/// <summary>
/// The real <see cref="PagerCore"/> with a simulated kernel, program and sponsor around it, all driven from one seed by one thread. The
/// checkers are in the other files.
/// </summary>
internal sealed partial class Simulation : IDataConnectionFactory, IDisposable
{
    /// <summary>Steps in which a stopped thread or a request must have gone on; far more than any honest wait takes.</summary>
    private const int HangSteps = 60_000;

    /// <summary>A pressure that falls below what is there must not stop a copying evictor, which needs room to make room.</summary>
    private const int CopiedOverPressureMax = 4;

    private readonly SimulationSettings _settings;
    private readonly Random _random;
    private readonly InMemorySponsor _sponsor = new();
    private readonly DataLink? _link;
    private IDataConnection _reader;
    private IDataConnection _writer;
    private ConnectionShare _readerShare;
    private ConnectionShare _writerShare;
    private readonly SimulatedProgramMemory _memory;
    private readonly PageModel _model;
    private PagerCore _core;
    private readonly List<SimulatedSegment> _segments = [];
    private readonly SimulatedThread[] _threads;
    private int _connections;
    private long _now;
    private long _pressurePages = long.MaxValue;

    public Simulation(SimulationSettings settings, Func<IDataConnection, IDataConnection>? writerDecorator = null)
    {
        _settings = settings;
        _random = new Random(settings.Seed ^ 0x5EED);
        _memory = new SimulatedProgramMemory(settings.ArenaPages, settings.StagingPages, settings.Threads, settings.TakeCopies, settings.Seed + 1)
        {
            BusyPerMillion = settings.BusyPerMillion,
            CanProtect = settings.Seed % 4 != 3 && !settings.TellsChanges,
            TellsChanges = settings.TellsChanges,
            LostWakesPerMillion = settings.LostWakesPerMillion,
            SnapshotFailuresPerMillion = settings.Seed % 5 == 0 ? 100_000 : 0,
        };
        _link = settings.CutsPerMillion == 0 ? null : new DataLink(this, connections: 2, new DataLinkOptions(), new FrozenTime());
        _reader = _link is null ? Connect(settings.Seed + 2, settings.ReaderEndsAt) : _link[0];
        IDataConnection writer = _link is null ? Connect(settings.Seed + 3, settings.WriterEndsAt) : _link[1];
        _writer = writerDecorator is null ? writer : writerDecorator(writer);
        bool dies = settings.DeathsPerMillion > 0;
        (_readerShare, _writerShare) = (new ConnectionShare(dies ? new DyingConnection(_reader, _death) : _reader), new ConnectionShare(dies ? new DyingConnection(_writer, _death) : _writer));
        _tables = dies ? PageTableFile.Create() : null;
        byte[] key = new byte[PageHash.KeyWords * sizeof(ulong)];
        _random.NextBytes(key);
        _memory.Hash = new PageHash(key);
        _core = MakeCore(_memory, slots: null, isHeir: true, _tables);
        if (_tables is not null)
        {
            _tables.OnCursor = _death.Tick;
            unsafe
            {
                _core.Slots.AddDirectory(_tables.Slabs);
            }
        }

        _memory.Counted = () => _core.OccupiedPages;
        _memory.OnRecycle = CheckRecycle;
        _outside = new Random(settings.Seed ^ 0x0075);
        (_memory.LengthOf, _memory.OnResized) = (first => _segments.Find(segment => segment.First == first)!.Pages, NoteResized);
        _model = new PageModel(settings.ArenaPages);
        _threads = new SimulatedThread[settings.Threads];
        for (int i = 0; i < _threads.Length; i++)
        {
            _threads[i] = new SimulatedThread(i, _memory, _model, _segments, settings.Seed + 10 + i) { IsAvoided = IsAvoided, OnBus = CheckLoss, OnSegv = CheckBeyond };
        }
    }

    public PagerCore Core => _core;

    public long Accesses => _threads.Sum(thread => thread.Accesses);

    /// <summary>How often the link made its connections anew.</summary>
    public long Rebuilds => _link?.Rebuilds ?? 0;

    public long BusErrors => _threads.Sum(thread => thread.BusErrors);

    private PagerCore MakeCore(SimulatedProgramMemory memory, SlotMap? slots, bool isHeir, PageTableFile? tables)
    {
        IPrefetchPolicy prefetch = _settings.Prefetch switch
        {
            "none" => new NoPrefetch(),
            "window" => new WindowPrefetch(),
            _ => new TrendPrefetch(),
        };
        Assert.True(LocalBudget.TryParse(_settings.Local, out LocalBudget local));
        return new PagerCore(_settings.DeathsPerMillion > 0 ? new DyingMemory(memory, _death) : memory, _readerShare.Add()!, _writerShare.Add()!, prefetch, local, _settings.StagingPages, _settings.Eviction,
            slots, tables)
        {
            Captures = _settings.Captures,
            KeptOut = _settings.Captures ? OtherMemory : [],
            OnFork = _ => BeginChild(),
            IsHeir = isHeir,
        };
    }

    /// <summary>Runs everything: work, reading it all back, giving it all up. Throws where a rule is broken.</summary>
    public void Run()
    {
        try
        {
            RunAll();
        }
        catch (ProgramStoppedException)
        {
            // Loudly: the kernel had told what nobody knows any more.
        }
    }

    private void RunAll()
    {
        if (_settings.Captures)
        {
            MapOwnMemory();
        }

        for (int i = 0; i < _settings.Steps; i++)
        {
            Step(mayStart: true);
            if (_random.Next(1000) < _settings.PressurePerThousand)
            {
                LimitByPressure(_random.Next(3) == 0 ? long.MaxValue : _random.Next(0, 600));
            }

            if (i % 200 == 0)
            {
                CheckCounters();
            }
        }

        LimitByPressure(long.MaxValue);
        Settle();
        ReadAllBack();
        EndChildren();
        GiveAllUp();
    }

    public void Step(bool mayStart)
    {
        _now++;
        int weights = _settings.PagerWeight + _settings.EvictorWeight + _settings.ThreadWeight;
        int chosen = _random.Next(weights);
        if (chosen < _settings.PagerWeight)
        {
            _core.CheckConnections = _random.Next(100) == 0;
            if (_random.Next(1000) < _settings.QuietPerThousand)
            {
                _core.NoteQuiet();
            }

            RunPager();
        }
        else if (chosen < _settings.PagerWeight + _settings.EvictorWeight)
        {
            _ = _memory.StepEvictor();
        }
        else
        {
            _threads[_random.Next(_threads.Length)].Step(_now, mayStart);
        }

        if (_link is not null && _random.Next(20) == 0)
        {
            _ = _link.Step();
        }

        StepLoss(mayStart);
        StepChange(mayStart);
        StepFork(mayStart);
        StepChildren();
        StepCapture(mayStart);
        StepRequests(mayStart && !IsChanging);
        CheckHang();
    }

    /// <summary>Invariant 3: what counts against the budget grows within it only; every install was counted before.</summary>
    private void RunPager()
    {
        long before = _core.OccupiedPages;
        long budget = _core.BudgetPages;
        long adopted = _core.Counters.PagesAdopted;
        int reserve = _core.UnshareReserve;
        if (!RunOnceOrDie(_core))
        {
            return;
        }

        adopted = _core.Counters.PagesAdopted - adopted;
        long ceiling = Math.Max(64, Math.Min(Math.Max(budget, _core.BudgetPages), _pressurePages));

        // What was there before it was the pager's is over the budget or not, as it happens.
        long excess = _settings.Captures ? adopted + reserve : _settings.TakeCopies && _pressurePages < _core.BudgetPages ? CopiedOverPressureMax : 0;
        if (_core.OccupiedPages > before && _core.OccupiedPages > (excess == 0 && !_settings.Captures ? ceiling : Math.Max(before, ceiling) + excess))
        {
            throw new SimulationException($"{_core.OccupiedPages} pages count against the budget, {ceiling} may; before it were {before}");
        }
    }

    IDataConnection IDataConnectionFactory.Open() => Connect(_settings.Seed + (100 * _connections++), endsAt: 0);

    /// <summary>What was not completed over these connections takes no effect: there is nothing to fence off.</summary>
    void IDataConnectionFactory.Fence(TimeSpan timeout, CancellationToken stop)
    {
    }

    public void Dispose()
    {
        _children.ForEach(child => child.Dispose());
        _core.Dispose();
        _left.ForEach(left => left.Dispose());
        _tables?.Dispose();
        _reader.Dispose();
        _writer.Dispose();
        _memory.Dispose();
        _sponsor.Dispose();
    }

    private FaultyDataConnection Connect(int seed, int endsAt) => new(
        new InMemoryDataConnection(_sponsor, shuffleSeed: seed, requestsInFlightMax: _settings.RequestsInFlight),
        new FaultSchedule { Seed = seed, DelayPerMillion = _settings.DelayPerMillion, Reorder = true, DropAtRequest = endsAt, DropPerMillion = _settings.CutsPerMillion, CorruptPerMillion = _settings.CorruptPerMillion });

    private void LimitByPressure(long pages)
    {
        _pressurePages = pages;
        _core.LimitByPressure(pages == long.MaxValue ? pages : pages << PageSize.Shift);
    }

    /// <summary>Ends the accesses and requests that are under way, then runs until the pager has nothing in flight.</summary>
    private void Settle()
    {
        for (int i = 0; i < HangSteps * 2; i++)
        {
            if (_threads.All(thread => thread.IsIdle) && !HasRequest && !IsChanging && !IsForking && !_memory.EvictorHasWork && (!_core.IsBusy || _core.SponsorLost))
            {
                CheckCounters();
                return;
            }

            Step(mayStart: false);
        }

        throw new SimulationException($"the pager does not come to rest: {_core.Counters.DepartingPages} pages are departing");
    }

    private void ReadAllBack()
    {
        foreach (SimulatedSegment segment in _segments)
        {
            for (int page = segment.First; page < segment.First + segment.Pages; page++)
            {
                SimulatedThread thread = _threads[page % _threads.Length];
                while (!thread.IsIdle)
                {
                    Step(mayStart: false);
                }

                thread.Read(page);
            }
        }

        Settle();
    }

    /// <summary>No link gives up for want of time.</summary>
    private sealed class FrozenTime : TimeProvider
    {
        public override long GetTimestamp() => 0;
    }
}
