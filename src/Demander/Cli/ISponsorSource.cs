using Hecatonchire.Pager;
using Hecatonchire.Transport;

namespace Hecatonchire.Cli;

/// <summary>Where a command's sponsor comes from: one that runs already, or one of its own that ends with it (Dispose).</summary>
internal interface ISponsorSource : IDisposable
{
    SponsorEndpoint Endpoint { get; }
}

/// <summary>Starts a sponsor on this host that offers <paramref name="bytes"/>; returns when it can be connected to.</summary>
internal delegate ISponsorSource EmbeddedSponsorFactory(long bytes, TransportPreference transport);

/// <summary>A sponsor somebody else runs.</summary>
internal sealed class RemoteSponsor(SponsorEndpoint endpoint) : ISponsorSource
{
    public SponsorEndpoint Endpoint => endpoint;

    public void Dispose()
    {
    }
}
