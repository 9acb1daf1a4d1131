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

    /// <summary>The device may not use memory of this program.</summary>
    Memory,

    /// <summary>The sponsor has ended, or no longer has what it lent: another attempt cannot help.</summary>
    Lost,
}

/// <summary>Opening a data connection failed. The message is one line for the user: what, where, why.</summary>
internal sealed class DataConnectionException(DataConnectionFailure failure, string message) : Exception(message)
{
    public DataConnectionFailure Failure { get; } = failure;

    /// <summary>Why a device could not be given a buffer, with the remedy.</summary>
    public static string NotRegistered(long bytes, int errno) => errno == Interop.Errno.ENOMEM
        ? $"{new Units.ByteSize(bytes)} cannot be pinned for the RDMA device: raise RLIMIT_MEMLOCK (`ulimit -l unlimited`, LimitMEMLOCK=infinity) or use --transport tcp"
        : $"{new Units.ByteSize(bytes)} cannot be registered with the RDMA device: {Interop.Errno.Describe(errno)}";
}
