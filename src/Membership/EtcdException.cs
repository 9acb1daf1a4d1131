namespace Hecatonchire.Membership;

/// <summary>What was asked of etcd did not happen, or nobody knows whether. The message is one line.</summary>
internal sealed class EtcdException(string message) : Exception(message)
{
    /// <summary>True where the lease that was named is over.</summary>
    public bool IsLeaseGone { get; init; }

    /// <summary>True where etcd answered with what somebody else must have written there.</summary>
    public bool IsMalformed { get; init; }

    /// <summary>True where no member of etcd has answered.</summary>
    public bool IsUnreachable { get; init; }
}
