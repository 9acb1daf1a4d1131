using Hecatonchire.Metrics;

namespace Hecatonchire.Bench.Workloads;

/// <summary>One benchmark over one memory: <see cref="Fill"/>, <see cref="Measure"/>, <see cref="Verify"/>, each once, in this order.</summary>
internal abstract class Workload(IBenchMemory memory, WorkloadOptions options, PhaseProgress progress)
{
    protected IBenchMemory Memory { get; } = memory;

    protected WorkloadOptions Options { get; } = options;

    protected PhaseProgress Progress { get; } = progress;

    /// <summary>What the measured part did, in the workload's own unit; known after it.</summary>
    public long Accesses { get; protected set; }

    /// <summary>Each touch as its thread saw it, nanoseconds; null where touches are not measured one by one.</summary>
    public virtual LatencyHistogram? Touches => null;

    /// <summary>Writes the data, remembers their checksum, and brings pages where the measured part wants them.</summary>
    public abstract void Fill();

    public abstract void Measure();

    /// <summary>Looks at all data; false when any differ from what was written.</summary>
    public abstract bool Verify();

    public static Workload Create(IBenchMemory memory, WorkloadOptions options, PhaseProgress progress) => options.Kind switch
    {
        WorkloadKind.Fault => new FaultWorkload(memory, options, progress),
        WorkloadKind.Scan => new ScanWorkload(memory, options, progress),
        WorkloadKind.RandomWalk => new RandomWalkWorkload<UniformPages>(memory, options, progress, new UniformPages(options.Pages)),
        WorkloadKind.Zipf => new RandomWalkWorkload<ZipfPages>(memory, options, progress, new ZipfPages(options.Pages, options.Theta)),
        _ => new QuicksortWorkload(memory, options, progress),
    };
}
