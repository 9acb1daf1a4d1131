using System.CommandLine;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Eviction;
using Hecatonchire.Lending;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Hecatonchire.Transport;
using Hecatonchire.Units;
using Hecatonchire.WriteBack;

namespace Hecatonchire.Cli.Bench;

/// <summary>The options of one benchmark; each has only those that mean something to it.</summary>
internal sealed class BenchOptions
{
    private const long SizeMin = 4L << 20;
    private const long SizeMax = 1L << 42;

    private readonly WorkloadKind _kind;
    private readonly Option<string> _system = new("--system")
    {
        HelpName = MemorySystemNames.All,
        Description = "What keeps the data: heca, or what there is without it",
        DefaultValueFactory = _ => MemorySystem.Heca.Name(),
    };

    private readonly Option<string> _size = new("--size") { HelpName = "SIZE", Description = "The program's memory", DefaultValueFactory = _ => "1GiB" };

    private readonly Option<string> _local = new("--local")
    {
        HelpName = "SIZE|N:M",
        Description = "How much of it may be here: a size or a share",
        DefaultValueFactory = _ => "1:4",
    };

    private readonly Option<string> _swapDirectory = new("--swap-dir")
    {
        HelpName = "DIR",
        Description = "Where disk-swap and zswap make their swap file: on a disk, not in memory",
        DefaultValueFactory = _ => SwapFile.DefaultDirectory,
    };

    private readonly Option<int> _threads;
    private readonly Option<ulong> _seed = new("--seed") { HelpName = "N", Description = "Of data and accesses", DefaultValueFactory = _ => 1UL };
    private readonly Option<string> _prefetch;

    private readonly TransportOption _transport = TransportOption.Create();

    private readonly Option<long?> _accesses = new("--accesses") { HelpName = "N" };

    private readonly Option<int> _writes = new("--writes")
    {
        HelpName = "PERCENT",
        Description = "How many of the accesses write",
        DefaultValueFactory = _ => 20,
    };

    private readonly Option<double> _theta = new("--theta")
    {
        HelpName = "NUMBER",
        Description = "How uneven: the page of rank r is chosen as often as 1/r^theta says",
        DefaultValueFactory = _ => WorkloadOptions.ThetaDefault,
    };

    private readonly Option<int> _passes = new("--passes")
    {
        HelpName = "N",
        Description = "How often to go over the memory",
        DefaultValueFactory = _ => 4,
    };

    private readonly Option<int> _sparse = new("--sparse")
    {
        HelpName = "N",
        Description = "Use one page in N of a memory N times --size: does a fault take longer in a large one?",
        DefaultValueFactory = _ => 1,
    };

    private readonly Option<string> _pin = new("--pin")
    {
        HelpName = "yes|no",
        Description = "Keep the touching thread on the first core",
        DefaultValueFactory = _ => Environment.ProcessorCount >= 2 ? "yes" : "no",
    };

    private readonly Option<string> _eviction = new("--eviction")
    {
        HelpName = EvictionKinds.All,
        Description = "Which pages leave first",
        DefaultValueFactory = _ => EvictionKinds.Default.Name(),
    };

    private readonly Option<bool> _baseline = new("--baseline") { Description = "Do the same in local memory first and report the overhead" };
    private readonly Option<bool> _floor = new("--floor") { Description = "Run heca-floor, the bare program for the same work, afterwards" };
    private readonly Option<DirtyTracking> _dirty = new("--dirty-tracking")
    {
        HelpName = "protect|hash|none",
        Description = "How unchanged pages are known: by write-protection, by hash, or not at all",
        DefaultValueFactory = _ => DirtyTracking.Protect,
    };

    private readonly Option<bool> _breakdown = new("--breakdown") { Description = "Show where a fault's time goes, stage by stage" };
    private readonly Option<string?> _metrics = new("--metrics") { HelpName = "HOST:PORT", Description = "Serve Prometheus metrics there" };
    private readonly SponsorOptions _sponsor = new();

    private bool IsWalk => _kind is WorkloadKind.RandomWalk or WorkloadKind.Zipf;

    private IEnumerable<Option> OfHecaOnly => [_prefetch, _dirty, _transport, _floor, _breakdown, _metrics, .. _sponsor.Options];

    public BenchOptions(WorkloadKind kind, Command command)
    {
        _kind = kind;
        bool fault = kind == WorkloadKind.Fault, walk = IsWalk;
        _threads = new Option<int>("--threads")
        {
            HelpName = "N",
            Description = fault ? "Always 1" : "Threads of the program",
            DefaultValueFactory = _ => kind switch { WorkloadKind.RandomWalk or WorkloadKind.Zipf => 4, WorkloadKind.Quicksort => 2, _ => 1 },
        };
        _prefetch = new Option<string>("--prefetch")
        {
            HelpName = "none|window|trend",
            Description = fault ? "Always none" : "How to fetch ahead",
            DefaultValueFactory = _ => fault ? "none" : "trend",
        };
        _accesses.Description = fault ? "Pages to touch [default: all, at most 100000]" : "Accesses of all threads [default: 2 per page]";
        Option?[] options =
        [
            _system, _swapDirectory, _size, _local, _threads, _seed, _prefetch, _dirty, _transport,
            fault || walk ? _accesses : null,
            walk ? _writes : null,
            kind == WorkloadKind.Zipf ? _theta : null,
            kind == WorkloadKind.Scan ? _passes : null,
            fault ? _sparse : null,
            fault ? _pin : null,
            _eviction,
            _baseline,
            kind is WorkloadKind.Fault or WorkloadKind.Scan ? _floor : null,
            fault ? _breakdown : null,
            _metrics,
        ];
        foreach (Option? option in options)
        {
            if (option is not null)
            {
                command.Add(option);
            }
        }

        _sponsor.AddTo(command);
    }

    /// <summary>Throws <see cref="CommandException"/> (usage) with option, value and rule.</summary>
    public BenchSettings Read(ParseResult parsed)
    {
        bool fault = _kind == WorkloadKind.Fault;
        MemorySystem system = ReadSystem(parsed);
        WorkloadOptions workload = ReadWorkload(parsed);
        string localText = parsed.GetValue(_local)!;
        TransportPreference transport = _transport.Read(parsed);
        string? metrics = parsed.GetValue(_metrics);
        Check(LocalBudget.TryParse(localText, out LocalBudget local), $"--local: '{localText}' is not a size of at least 1MiB, nor a share N:M with 0 < N <= M");
        PrefetchKind prefetch = ReadPrefetch(parsed.GetValue(_prefetch)!);
        Check(!fault || prefetch == PrefetchKind.None, "--prefetch: the fault benchmark measures single pages and takes only none");
        string evictionText = parsed.GetValue(_eviction)!;
        Check(EvictionKinds.TryParse(evictionText, out EvictionKind eviction), $"--eviction: '{evictionText}' is not one of {EvictionKinds.All}");
        if (metrics is not null)
        {
            Check(Hecatonchire.Metrics.ListenAddress.TryParse(metrics, out _, out string error), $"--metrics: {error}");
        }

        return new BenchSettings
        {
            System = system,
            SwapDirectory = parsed.GetValue(_swapDirectory)!,
            Workload = workload,
            Local = local,
            Prefetch = prefetch,
            DirtyTracking = parsed.GetValue(_dirty),
            Transport = transport,
            Borrowing = system == MemorySystem.Heca ? _sponsor.Resolve(parsed) : null,
            Seal = system == MemorySystem.Heca && _sponsor.Seals(parsed),
            Eviction = eviction,
            Baseline = parsed.GetValue(_baseline),
            Floor = parsed.GetResult(_floor) is not null && parsed.GetValue(_floor),
            Breakdown = parsed.GetResult(_breakdown) is not null && parsed.GetValue(_breakdown),
            Metrics = metrics,
        };
    }

    private MemorySystem ReadSystem(ParseResult parsed)
    {
        string text = parsed.GetValue(_system)!;
        Check(MemorySystemNames.TryParse(text, out MemorySystem system), $"--system: '{text}' is not one of {MemorySystemNames.All}");
        IEnumerable<Option> meaningless = system switch
        {
            MemorySystem.Heca => [_swapDirectory],
            MemorySystem.Local => [.. OfHecaOnly, _local, _swapDirectory],
            MemorySystem.ZramLzoRle or MemorySystem.ZramLz4 => [.. OfHecaOnly, _swapDirectory],
            _ => OfHecaOnly,
        };
        foreach (Option option in meaningless)
        {
            Check(parsed.GetResult(option) is null or { Implicit: true }, $"{option.Name}: means nothing to --system {text}");
        }

        return system;
    }

    private WorkloadOptions ReadWorkload(ParseResult parsed)
    {
        bool fault = _kind == WorkloadKind.Fault, walk = IsWalk;
        string sizeText = parsed.GetValue(_size)!;
        Check(
            ByteSize.TryParse(sizeText, out ByteSize size) && size.Bytes is >= SizeMin and <= SizeMax,
            $"--size: '{sizeText}' is not a size from 4MiB to 4TiB");
        int threads = parsed.GetValue(_threads);
        Check(threads is >= 1 and <= WorkloadOptions.ThreadsMax, $"--threads: {threads} is not from 1 to {WorkloadOptions.ThreadsMax}");
        Check(!fault || threads == 1, "--threads: the fault benchmark touches pages one by one and takes only 1");
        var options = new WorkloadOptions
        {
            Kind = _kind,
            Bytes = size.Bytes / PageSize.Bytes * PageSize.Bytes,
            Threads = threads,
            Seed = parsed.GetValue(_seed),
            Accesses = fault || walk ? parsed.GetValue(_accesses) : null,
            WritePercent = walk ? parsed.GetValue(_writes) : 0,
            Theta = _kind == WorkloadKind.Zipf ? parsed.GetValue(_theta) : WorkloadOptions.ThetaDefault,
            Passes = _kind == WorkloadKind.Scan ? parsed.GetValue(_passes) : 1,
            Sparse = fault ? parsed.GetValue(_sparse) : 1,
            Pin = fault && ReadPin(parsed.GetValue(_pin)!),
        };
        Check(options.Accesses is null or >= 1, $"--accesses: {options.Accesses} is not at least 1");
        Check(!fault || options.AccessesInEffect <= options.Pages, $"--accesses: {options.Accesses} exceeds the {options.Pages} pages, and none is touched twice");
        Check(options.Sparse is >= 1 and <= WorkloadOptions.SparseMax, $"--sparse: {options.Sparse} is not from 1 to {WorkloadOptions.SparseMax}");
        Check(options.WritePercent is >= 0 and <= 100, $"--writes: {options.WritePercent} is not from 0 to 100");
        Check(options.Theta is > 0 and < 1, FormattableString.Invariant($"--theta: {options.Theta} is not above 0 and below 1"));
        Check(options.Passes is >= 1 and <= WorkloadOptions.PassesMax, $"--passes: {options.Passes} is not from 1 to {WorkloadOptions.PassesMax}");
        return options;
    }

    private static bool ReadPin(string text)
    {
        Check(text is "yes" or "no", $"--pin: '{text}' is not yes or no");
        return text == "yes";
    }

    private static PrefetchKind ReadPrefetch(string text)
    {
        switch (text)
        {
            case "none":
                return PrefetchKind.None;
            case "window":
                return PrefetchKind.Window;
            case "trend":
                return PrefetchKind.Trend;
            default:
                throw new CommandException($"--prefetch: '{text}' is not none, window or trend", ExitStatus.Usage);
        }
    }

    private static void Check(bool right, string message)
    {
        if (!right)
        {
            throw new CommandException(message, ExitStatus.Usage);
        }
    }
}
