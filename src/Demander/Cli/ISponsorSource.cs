using Hecatonchire.Lending;
using Hecatonchire.Transport;

namespace Hecatonchire.Cli;

/// <summary>Where a command's sponsor comes from: one that runs already, or one of its own that ends with it (Dispose).</summary>
internal interface ISponsorSource : IDisposable
{
    Borrowing Borrowing { get; }
}

/// <summary>Starts a sponsor on this host that offers <paramref name="bytes"/>; returns when it can be connected to.</summary>
internal delegate ISponsorSource EmbeddedSponsorFactory(long bytes, TransportPreference transport);

/// <summary>Sponsors that somebody else runs.</summary>
internal sealed class RemoteSponsors(Borrowing borrowing) : ISponsorSource
{
    public Borrowing Borrowing => borrowing;

    public void Dispose()
    {
    }
}
