using Hecatonchire.Pages;

namespace Hecatonchire.Prefetch;

/// <summary>Pages to bring in ahead of need: First, First + Stride, ... (Count of them), as part of a stream.</summary>
internal readonly struct PrefetchWindow(long first, int count, int stride, int stream)
{
    public readonly long First = first;
    public readonly int Count = count;
    public readonly int Stride = stride;

    /// <summary>The policy's number of the stream this window belongs to.</summary>
    public readonly int Stream = stream;

    public static PrefetchWindow None => default;
}

/// <summary>
/// Decides what to prefetch. Called by the pager thread on its fault path: no allocation, microseconds at most. The
/// first page of each window that is really fetched is its marker: it is held back in the pager, so that the program's
/// touch of it tells the policy that the window is being used, and the next one goes out while the program still
/// reads this one.
/// </summary>
internal interface IPrefetchPolicy
{
    /// <summary>A fault that no prefetched page answered.</summary>
    PrefetchWindow OnFault(int thread, PageId page, int windowMax);

    /// <summary>The marker of the stream's newest window, or a page of it in flight, was touched.</summary>
    PrefetchWindow OnHit(int stream, PageId page, int windowMax);

    /// <summary>
    /// How many pages of the window just returned were really requested, and the page it ended before: room or requests may
    /// have run out half-way.
    /// </summary>
    void Issued(int stream, int pages, long end);

    /// <summary>Prefetched pages of windows whose marker was touched.</summary>
    long Used { get; }

    /// <summary>Prefetched pages of windows that were given up before their marker was touched.</summary>
    long Wasted { get; }
}

/// <summary>No prefetch.</summary>
internal sealed class NoPrefetch : IPrefetchPolicy
{
    public long Used => 0;

    public long Wasted => 0;

    public PrefetchWindow OnFault(int thread, PageId page, int windowMax) => PrefetchWindow.None;

    public PrefetchWindow OnHit(int stream, PageId page, int windowMax) => PrefetchWindow.None;

    public void Issued(int stream, int pages, long end)
    {
    }
}
