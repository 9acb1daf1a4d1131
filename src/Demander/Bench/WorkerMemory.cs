namespace Hecatonchire.Bench;

/// <summary>Where a worker has its data.</summary>
internal enum WorkerMemory
{
    /// <summary>With the pager at HECA_SOCKET.</summary>
    Sponsored,

    Local,

    /// <summary>Local, under a limit, with swap.</summary>
    Swapped,
}
