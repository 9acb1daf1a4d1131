namespace Hecatonchire.Bench;

/// <summary>Where a workload's data lie: with a sponsor, or in ordinary memory for the baseline. Zeroed at first.</summary>
internal unsafe interface IBenchMemory : IDisposable
{
    /// <summary>Page-aligned; never changes.</summary>
    byte* Address { get; }

    /// <summary>Whole pages.</summary>
    long Bytes { get; }

    /// <summary>Moves a range to the sponsor and returns when it has left; nothing where there is no sponsor.</summary>
    void PageOut(long offset, long length);
}
