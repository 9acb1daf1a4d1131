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

    /// <summary>
    /// Whether the page at an offset is here where a page that is out is wanted. Only swap has to look: a sponsor has all that was moved
    /// to it, and local memory has no other pages.
    /// </summary>
    bool IsHereUnasked(long offset);

    /// <summary>How much of it is in memory now; null where the pager is to be asked.</summary>
    long? ResidentBytes();
}
