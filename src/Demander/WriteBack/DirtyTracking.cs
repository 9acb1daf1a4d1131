namespace Hecatonchire.WriteBack;

/// <summary>How the pager knows, when a page leaves, that the sponsor has it already.</summary>
internal enum DirtyTracking
{
    /// <summary>
    /// Pages come in write-protected, and the first write is a fault. An unchanged page is dropped without being read. What was
    /// let through for writing is told by its hash.
    /// </summary>
    Protect,

    /// <summary>A hash of the page as it leaves is compared with that of what the sponsor has. No fault; every page is moved and read.</summary>
    Hash,

    /// <summary>Every page is written back. For comparison.</summary>
    None,
}
