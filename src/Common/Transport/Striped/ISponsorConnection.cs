namespace Hecatonchire.Transport.Striped;

/// <summary>A data connection to one sponsor of several: while it is away, what it was asked for may be better asked of another.</summary>
internal interface ISponsorConnection : IDataConnection
{
    /// <summary>True while there is no connection, but may be one again: what is posted waits for it.</summary>
    bool IsAway { get; }

    /// <summary>
    /// While it is away: forgets requests, oldest first, as if they had never been posted, and tells their cookies. Their buffers are not used any more; whether
    /// a WRITE took effect is unknown. Returns how many; 0 too where a device may use the buffers yet.
    /// </summary>
    int Withdraw(Span<ulong> cookies);

    /// <summary>Goes away, as if the sponsor had ended the connection: for one that is silent.</summary>
    void Leave(string why);
}
