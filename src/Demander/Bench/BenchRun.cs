using System.Numerics;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Cli;
using Hecatonchire.Eviction;
using Hecatonchire.Host;
using Hecatonchire.Lending;
using Hecatonchire.Metrics;
using Hecatonchire.Pager;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Bench;

/// <summary>One benchmark from start to end: baseline, sponsor, pager, worker, floor.</summary>
internal sealed class BenchRun
{
    /// <summary>Sponsors lend slabs of these sizes and the powers of two in between: what is offered must be made of such.</summary>
    private const long SlabBytesMin = 64L << 20;

    private const long SlabBytesMax = 1L << 30;

    /// <summary>For the touches before the measured ones.</summary>
    private const int TraceSpare = 1024;

    private readonly BenchSettings _settings;
    private readonly ProgressDisplay _display;
    private readonly CancellationToken _cancellation;
    private readonly LatencyHistogram _latencies = new();
    private FaultTrace? _trace;
    private FaultStage[]? _breakdown;
    private PagerSnapshot _before;
    private PagerSnapshot _after;
    private PagerSnapshot _end;
    private TimeSpan _pagerCpu;
    private TimeSpan _sponsorCpu;
    private double _hostCpu;
    private long? _deviceBytes;

    private BenchRun(BenchSettings settings, ProgressDisplay display, CancellationToken cancellation)
    {
        _settings = settings;
        _display = display;
        _cancellation = cancellation;
    }

    private WorkloadOptions Workload => _settings.Workload;

    /// <summary>
    /// Throws <see cref="CommandException"/>, <see cref="PagerStartException"/>, IOException
    /// (the metrics' port) or <see cref="OperationCanceledException"/>; whatever was started has ended then too.
    /// </summary>
    public static BenchResult Run(BenchSettings settings, ProgressDisplay display, ILoggerFactory loggers, CancellationToken cancellation) =>
        new BenchRun(settings, display, cancellation).Run(loggers);

    private BenchResult Run(ILoggerFactory loggers)
    {
        WorkerLine? baseline = _settings.Baseline
            ? WorkerProcess.Run(Workload, null, new WorkerProcess.Hooks { Progress = ProgressOf("baseline") }, _cancellation)
            : null;
        if (baseline?.Verified == false)
        {
            throw new CommandException("the baseline in local memory did not verify: this host's memory or this program is at fault", ExitStatus.Failed);
        }

        WorkerLine worker = _settings.System switch
        {
            MemorySystem.Heca => RunPaged(loggers),
            MemorySystem.Local => RunLocal(),
            _ => RunSwapped(),
        };
        _display.Clear();
        FloorProcess.Floor? floor = _settings.Floor ? FloorProcess.Run(Workload, _cancellation) : null;
        return Report(worker, baseline, floor);
    }

    private WorkerLine RunPaged(ILoggerFactory loggers)
    {
        using EmbeddedSponsor? embedded = _settings.Borrowing is null ? EmbeddedSponsor.Start(SponsorBytes(Workload.MemoryBytes), _settings.Transport) : null;
        using var directory = new TemporaryDirectory("heca-bench-");
        var options = new PagerOptions
        {
            Local = _settings.Local,
            Prefetch = _settings.Prefetch,
            Eviction = _settings.Eviction,
            DirtyTracking = _settings.DirtyTracking,
            Transport = _settings.Transport,
            Borrowing = (_settings.Borrowing ?? Borrowing.From(embedded!.Endpoint)) with { Seal = _settings.Seal },
            SocketPath = Path.Combine(directory.Path, "pager.sock"),
        };
        using IMeasuredPager pager = Composition.StartMeasured(options, loggers);
        PagerInstruments? instruments = _settings.Metrics is null ? null : new PagerInstruments(pager);
        using MetricsEndpoint? metrics = instruments is null ? null : MetricsEndpoint.Start(_settings.Metrics!, instruments.Registry);
        string touches = Path.Combine(directory.Path, "touches");
        WorkerLine worker = WorkerProcess.Run(
            _settings.Breakdown ? Workload with { TouchesFile = touches } : Workload,
            pager.SocketPath,
            new WorkerProcess.Hooks
            {
                Progress = ProgressOf(Workload.Kind.Name()),
                Failure = () => pager.Failure,
                Measure = () => StartMeasuring(pager, embedded),
                Measured = () => StopMeasuring(pager, embedded),
            },
            _cancellation);
        _end = pager.Snapshot();
        if (_trace is { } trace)
        {
            _breakdown = FaultBreakdown.Of(trace.Faults, FaultBreakdown.ReadTouches(touches))
                ?? throw new CommandException("--breakdown: the pager saw other faults than the touches; without other memory of the program it sees each once", ExitStatus.Failed);
        }

        return worker;
    }

    private WorkerLine RunLocal() =>
        WorkerProcess.Run(
            Workload,
            null,
            new WorkerProcess.Hooks { Progress = ProgressOf(Workload.Kind.Name()), Measure = StartMeasuringHost, Measured = StopMeasuringHost },
            _cancellation);

    private WorkerLine RunSwapped()
    {
        using SwapSystem swap = SwapSystem.Start(_settings);
        try
        {
            return WorkerProcess.Run(
                Workload,
                null,
                new WorkerProcess.Hooks
                {
                    Progress = ProgressOf(Workload.Kind.Name()),
                    Confine = swap.Confine,
                    Measure = StartMeasuringSwap,
                    Measured = () => StopMeasuringSwap(swap),
                },
                _cancellation);
        }
        catch (CommandException) when (swap.OomKills > 0)
        {
            throw new OomKilledException(
                $"the kernel ended the worker of {Workload.Kind.Name()} on {_settings.System.Name()} in its cgroup of "
                + $"{new ByteSize(swap.LimitBytes)}, with swap free");
        }
    }

    private void StartMeasuringSwap()
    {
        FreeMemory.Back(Workload.Bytes);
        _before = SwapSystem.Counters();
        StartMeasuringHost();
    }

    private void StopMeasuringSwap(SwapSystem swap)
    {
        StopMeasuringHost();
        _after = SwapSystem.Counters();
        _deviceBytes = swap.UsedBytes;
    }

    private void StartMeasuring(IMeasuredPager pager, EmbeddedSponsor? embedded)
    {
        FreeMemory.Back(Workload.Bytes);
        _before = pager.Snapshot();
        _pagerCpu = Environment.CpuUsage.TotalTime;
        _sponsorCpu = embedded?.CpuTime ?? default;
        pager.ResetMeasurements();
        if (_settings.Breakdown)
        {
            _trace = new FaultTrace((int)Workload.AccessesInEffect + TraceSpare);
            pager.TraceFaults(_trace);
        }

        StartMeasuringHost();
    }

    private void StopMeasuring(IMeasuredPager pager, EmbeddedSponsor? embedded)
    {
        StopMeasuringHost();
        pager.TraceFaults(null);
        pager.CopyLatencies(_latencies);
        _after = pager.Snapshot();
        _pagerCpu = Environment.CpuUsage.TotalTime - _pagerCpu;
        _sponsorCpu = (embedded?.CpuTime ?? default) - _sponsorCpu;
    }

    private void StartMeasuringHost() => _hostCpu = HostCpu.BusySeconds(new HostFiles());

    private void StopMeasuringHost() => _hostCpu = HostCpu.BusySeconds(new HostFiles()) - _hostCpu;

    private Action<string, long, long> ProgressOf(string label) => (phase, done, total) => _display.Show(label, phase, done, total);

    private BenchResult Report(WorkerLine worker, WorkerLine? baseline, FloorProcess.Floor? floor)
    {
        double elapsed = worker.ElapsedS ?? 0;
        long accesses = worker.Accesses ?? 0;
        long pagesIn = _after.PagesIn - _before.PagesIn;
        bool heca = _settings.System == MemorySystem.Heca;
        bool scan = Workload.Kind == WorkloadKind.Scan;
        double pagesPerS = PerSecond(scan ? accesses : pagesIn, elapsed);
        double? ratio = scan ? pagesPerS / floor?.PagesPerS : worker.TouchUs?.P50 / floor?.Latencies?.P50;
        return new BenchResult
        {
            Benchmark = Workload.Kind.Name(),
            System = _settings.System.Name(),
            Transport = _after.Transport ?? "",
            SizeBytes = Workload.MemoryBytes,
            LocalBytes = _settings.System == MemorySystem.Local ? Workload.MemoryBytes : _settings.Local.Resolve(Workload.MemoryBytes),
            Threads = Workload.Threads,
            Seed = Workload.Seed,
#pragma warning disable CA1308 // The option's spelling.
            Prefetch = heca ? _settings.Prefetch.ToString().ToLowerInvariant() : "",
#pragma warning restore CA1308
            Eviction = _settings.Eviction.Name(),
            ElapsedS = Rounded(elapsed, 6),
            BaselineS = Rounded(baseline?.ElapsedS, 6),
            OverheadPct = Rounded(((elapsed / baseline?.ElapsedS) - 1) * 100, 2),
            Accesses = accesses,
            AccessesPerS = PerSecond(accesses, elapsed),
            PagesIn = pagesIn,
            PagesOut = _after.PagesOut - _before.PagesOut,
            PagesPrefetched = _after.PagesPrefetched - _before.PagesPrefetched,
            PrefetchUsed = _after.PrefetchUsed - _before.PrefetchUsed,
            PrefetchWasted = _after.PrefetchWasted - _before.PrefetchWasted,
            PagesDropped = _after.PagesDropped - _before.PagesDropped,
            PagesPerS = pagesPerS,
            Faults = heca ? _after.Faults - _before.Faults : worker.MajorFaults ?? 0,
            ResidentPeakBytes = worker.ResidentBytes ?? Math.Max(_before.ResidentPeakBytes, Math.Max(_after.ResidentPeakBytes, _end.ResidentPeakBytes)),
            FaultUs = LatencySummary.Of(_latencies),
            TouchUs = worker.TouchUs,
            TouchPercentiles = worker.TouchPercentiles,
            FloorUs = floor?.Latencies,
            FloorPagesPerS = floor?.PagesPerS,
            FloorRatio = Rounded(ratio, 3),
            Breakdown = _breakdown,
            DeviceBytes = _deviceBytes,
            Verified = worker.Verified == true,
            WorkerRssPeakBytes = worker.RssPeakBytes ?? 0,
            CpuS = new CpuSeconds(
                Rounded(worker.CpuS ?? 0, 3),
                Rounded(_pagerCpu.TotalSeconds, 3),
                heca && _settings.Borrowing is null ? Rounded(_sponsorCpu.TotalSeconds, 3) : null,
                Rounded(_hostCpu, 3)),
        };
    }

    internal static long SponsorBytes(long program)
    {
        long slab = Math.Clamp((long)BitOperations.RoundUpToPowerOf2((ulong)program), SlabBytesMin, SlabBytesMax);
        return (program + slab - 1) / slab * slab;
    }

    private static double PerSecond(long count, double seconds) => seconds > 0 ? Math.Round(count / seconds) : 0;

    private static double Rounded(double value, int digits) => double.IsFinite(value) ? Math.Round(value, digits) : 0;

    private static double? Rounded(double? value, int digits) => value is { } number && double.IsFinite(number) ? Math.Round(number, digits) : null;

    private sealed class TemporaryDirectory(string prefix) : IDisposable
    {
        public string Path { get; } = Directory.CreateTempSubdirectory(prefix).FullName;

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}
