namespace Hecatonchire.Sponsor.Serving;

/// <summary>Slab memory as RDMA devices reach it, past this process. Called from the control thread.</summary>
internal unsafe interface IRemoteMemory
{
    /// <summary>Where RDMA connections come in; 0 while there are none.</summary>
    int Port { get; }

    /// <summary>True while a connection of the demander is in the protection domain.</summary>
    bool HasDomain(DemanderHandle demander, uint domain);

    /// <summary>
    /// Registers a slab's memory in a protection domain of its demander, once; null, or one line that says why it cannot be. The memory is
    /// populated and pinned by it.
    /// </summary>
    string? TryExpose(DemanderHandle demander, uint domain, ulong slab, byte* memory, long bytes, out uint key);

    /// <summary>Ends all access to a slab; on return no device touches its memory any more.</summary>
    void Withdraw(ulong slab);

    /// <summary>Closes every connection of a demander; on return nothing that came over them can take effect any more.</summary>
    void DropConnections(DemanderHandle demander);
}
