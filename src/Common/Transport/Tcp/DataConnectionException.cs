namespace Hecatonchire.Transport.Tcp;

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
}

/// <summary>Opening a data connection failed. The message is one line for the user: what, where, why.</summary>
internal sealed class DataConnectionException(DataConnectionFailure failure, string message) : Exception(message)
{
    public DataConnectionFailure Failure { get; } = failure;

    /// <summary>Why a device could not be given a buffer, with the remedy.</summary>
    public static string NotRegistered(long bytes, int errno) => errno == Interop.Errno.ENOMEM
        ? $"{new Units.ByteSize(bytes)} cannot be pinned for the RDMA device: raise RLIMIT_MEMLOCK (`ulimit -l unlimited`, LimitMEMLOCK=infinity) or use --transport tcp"
        : $"{new Units.ByteSize(bytes)} cannot be registered with the RDMA device: {Interop.Errno.Describe(errno)}";

    /// <summary>What a refused HELLO means; the status is a <see cref="WireStatus"/> or what somebody sent in place of one.</summary>
    public static (DataConnectionFailure Failure, string Why) OfRefusal(uint status) => (WireStatus)Math.Min(status, byte.MaxValue) switch
    {
        WireStatus.Version => (
            DataConnectionFailure.Version, $"the sponsor does not speak version {Frames.Version} of the protocol"),
        WireStatus.Token => (DataConnectionFailure.Token, "the sponsor refused the token (unknown, used or expired)"),
        WireStatus.Stopping => (DataConnectionFailure.Busy, "the sponsor is stopping"),
        WireStatus.Busy => (DataConnectionFailure.Busy, "the sponsor has as many connections as it takes"),
        _ => (DataConnectionFailure.Protocol, $"the sponsor refused the HELLO with status {status}"),
    };
}
