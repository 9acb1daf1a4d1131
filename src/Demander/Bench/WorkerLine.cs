namespace Hecatonchire.Bench;

/// <summary>
/// One line from the worker to its parent. Phases with <see cref="Total"/> are progress. <see cref="Ready"/>, before any data are
/// touched, <see cref="Measure"/> and <see cref="Measured"/> wait for a line in answer, so that the parent's limits and figures are
/// those of the data and of the measured part alone; <see cref="Result"/> and <see cref="Error"/> are the last.
/// </summary>
internal sealed record WorkerLine(string Phase)
{
    public const string Ready = "ready";
    public const string Measure = "measure";
    public const string Measured = "measured";
    public const string Result = "result";
    public const string Error = "error";

    /// <summary>The parent's answer.</summary>
    public const string Go = "go";

    public long? Done { get; init; }

    public long? Total { get; init; }

    public double? ElapsedS { get; init; }

    /// <summary>Processor time of the worker in the measured part.</summary>
    public double? CpuS { get; init; }

    public long? Accesses { get; init; }

    public LatencySummary? TouchUs { get; init; }

    public LatencyPoint[]? TouchPercentiles { get; init; }

    public long? RssPeakBytes { get; init; }

    /// <summary>In the measured part, as the kernel counts them: those that waited for a device.</summary>
    public long? MajorFaults { get; init; }

    /// <summary>Data in memory at the beginning or the end of the measured part, whichever was more; the swap cache counts.</summary>
    public long? ResidentBytes { get; init; }

    public bool? Verified { get; init; }

    /// <summary>Of <see cref="Error"/>: what went wrong, one line.</summary>
    public string? Message { get; init; }
}
