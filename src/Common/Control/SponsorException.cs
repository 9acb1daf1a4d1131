namespace Hecatonchire.Control;

/// <summary>What went wrong between a demander and its sponsor, for those who decide what to do next.</summary>
internal enum SponsorErrorCode
{
    /// <summary>No answer in time: nothing listens there, or the public key is not that sponsor's.</summary>
    Unreachable,

    /// <summary>The offer is used up; nothing was allocated.</summary>
    Full,

    /// <summary>The two speak different versions of the protocol.</summary>
    Version,

    NoSuchSlab,

    /// <summary>The connections whose protection domain was named are closed; those that replace them have another.</summary>
    NoSuchDomain,

    /// <summary>The sponsor is stopping and takes no more work.</summary>
    Stopping,

    /// <summary>The sponsor has lost what it lent: it was restarted, or freed a demander it had not heard of for too long.</summary>
    Lost,

    /// <summary>The sponsor serves only keys that it trusts, and this demander's is none of them, any more or yet.</summary>
    NotTrusted,

    /// <summary>The sponsor refused the request as wrong: a size between its limits, for example, or a key that is none.</summary>
    Refused,
}

/// <summary>The message is one line that names the sponsor, says what failed and what to do.</summary>
internal sealed class SponsorException(SponsorErrorCode code, string message) : Exception(message)
{
    public SponsorErrorCode Code { get; } = code;
}
