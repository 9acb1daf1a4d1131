using Hecatonchire.Pager;

namespace Hecatonchire.Lending;

/// <summary>Where a sponsor is, and which of its starts it was found as; that is what it says of itself, and true when it answers so.</summary>
internal sealed record FoundSponsor(SponsorEndpoint Endpoint, Guid Instance);

/// <summary>What knows of sponsors that nobody has named: etcd. Its methods wait for nobody, unless they say so.</summary>
internal interface ISponsorFinder : IDisposable
{
    /// <summary>As last seen. From any thread.</summary>
    IReadOnlyList<FoundSponsor> Sponsors { get; }

    /// <summary>True while it can be seen that a sponsor which is not among <see cref="Sponsors"/> has gone. Ask this first, then those.</summary>
    bool IsLive { get; }

    /// <summary>The cluster that the sponsors are; zeros: not known.</summary>
    Guid Cluster { get; }

    /// <summary>
    /// From now until it ends, and so long after this process has died, sponsors keep what they have lent to the demander, whatever they hear of it.
    /// </summary>
    IDemanderLease Own(Guid demander, TimeSpan afterDeath);
}

/// <summary>A demander's claim on what it was lent.</summary>
internal interface IDemanderLease
{
    /// <summary>Gives the claim up, or leaves it to its time, as if this process had died. May wait for a second.</summary>
    void End(bool releases);
}
