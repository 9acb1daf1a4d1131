namespace Hecatonchire.Transport;

/// <summary>Why a data connection could not be opened.</summary>
internal enum DataConnectionFailure
{
    /// <summary>Nobody answers at that address, or not in time.</summary>
    Unreachable,

    /// <summary>The token is unknown to the sponsor, used, or expired.</summary>
    Token,

    /// <summary>The sponsor does not speak this version of the protocol.</summary>
    Version,

    /// <summary>The sponsor is stopping or has as many connections as it takes.</summary>
    Busy,

    /// <summary>What answered does not speak this protocol.</summary>
    Protocol,

    /// <summary>The sponsor has ended, or no longer has what it lent: another attempt cannot help.</summary>
    Lost,
}

/// <summary>Opening a data connection failed. The message is one line for the user: what, where, why.</summary>
internal sealed class DataConnectionException(DataConnectionFailure failure, string message) : Exception(message)
{
    public DataConnectionFailure Failure { get; } = failure;
}
