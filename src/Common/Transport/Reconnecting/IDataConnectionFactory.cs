namespace Hecatonchire.Transport.Reconnecting;

/// <summary>Makes the data connections of a <see cref="DataLink"/>. Called by one thread at a time, which may wait.</summary>
internal interface IDataConnectionFactory
{
    /// <summary>Opens one data connection to the sponsor. Throws <see cref="DataConnectionException"/>.</summary>
    IDataConnection Open();

    /// <summary>
    /// When this returns, no request of any connection opened before can take effect any more, and the sponsor is the one that was there
    /// before, with all it holds. Throws <see cref="DataConnectionException"/>, of the kind <see cref="DataConnectionFailure.Lost"/> where
    /// no other attempt can help.
    /// </summary>
    void Fence(TimeSpan timeout, CancellationToken stop);
}
