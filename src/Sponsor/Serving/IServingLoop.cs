namespace Hecatonchire.Sponsor.Serving;

/// <summary>The serving thread of a transport's data plane, as the control plane needs it.</summary>
internal interface IServingLoop
{
    /// <summary>
    /// Runs an action on the serving thread between two requests and returns when it has run: afterwards no request works with
    /// what the action took away, so that a slab's memory can be unmapped. Inline while the loop is stopped. An exception of the action
    /// comes back to the caller. Do not hold a lock that <see cref="ISlabDirectory"/> takes,
    /// and do not call it from there.
    /// </summary>
    void RunBetweenRequests(Action action);

    /// <summary>
    /// Closes every data connection of a demander and returns when no request that came over them can take effect any more. To be
    /// called as <see cref="RunBetweenRequests"/>.
    /// </summary>
    void DropConnections(DemanderHandle demander);

    /// <summary>The port that data connections come in on; 0 before the start.</summary>
    int Port { get; }
}
