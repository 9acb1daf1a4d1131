namespace Hecatonchire.Eviction;

/// <summary>How a page became resident: all that a pager learns of a page's use, since touches of resident pages raise no events.</summary>
internal enum PageArrival : byte
{
    /// <summary>A thread faulted on it, and it was fetched; also what the program said it will need.</summary>
    Demand,

    /// <summary>Brought along by a prefetch window, from the sponsor or as zeros. Whether it is ever touched is not known.</summary>
    Prefetch,

    /// <summary>A thread faulted on it while it was on its way out.</summary>
    Recall,

    /// <summary>First touch.</summary>
    ZeroFill,

    /// <summary>It was a victim and the kernel could not take it: it has never been away.</summary>
    Returned,
}
