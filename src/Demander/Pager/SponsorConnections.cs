using System.Net;
using System.Net.Sockets;
using Hecatonchire.Control;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Reconnecting;
using Hecatonchire.Transport.Tcp;

namespace Hecatonchire.Pager;

/// <summary>
/// Opens a demander's data connections to its sponsor with tokens from the control channel, and fences off those that failed. Here
/// and nowhere else is it decided over which transport.
/// </summary>
internal sealed class SponsorConnections(SponsorEndpoint sponsor, SponsorClient client) : IDataConnectionFactory
{
    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    public IDataConnection Open()
    {
        try
        {
            DataToken token = client.RequestToken();
            IPAddress address = IPAddress.TryParse(sponsor.Host, out IPAddress? given)
                ? given
                : Dns.GetHostAddresses(sponsor.Host, AddressFamily.InterNetwork)[0];
            return TcpDataConnection.Connect(new IPEndPoint(address, token.Port), client.Demander, token.Token, ConnectTimeout);
        }
        catch (SponsorException failure)
        {
            throw Translate(failure);
        }
        catch (SocketException failure)
        {
            throw new DataConnectionException(DataConnectionFailure.Unreachable, $"{sponsor.Host} has no address: {failure.Message}");
        }
    }

    public void Fence(TimeSpan timeout, CancellationToken stop)
    {
        try
        {
            client.Reset(timeout, stop);
        }
        catch (SponsorException failure)
        {
            throw Translate(failure);
        }
    }

    /// <summary>What cannot be otherwise at the next attempt is a loss: also a sponsor too old to know the request.</summary>
    private static DataConnectionException Translate(SponsorException failure) => new(
        failure.Code switch
        {
            SponsorErrorCode.Unreachable or SponsorErrorCode.Full => DataConnectionFailure.Unreachable,
            SponsorErrorCode.Stopping => DataConnectionFailure.Busy,
            _ => DataConnectionFailure.Lost,
        },
        failure.Message);
}
