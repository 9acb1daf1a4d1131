using System.Net;
using System.Net.Sockets;
using Hecatonchire.Control;
using Hecatonchire.Handover;
using Hecatonchire.Interop;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Rdma;
using Hecatonchire.Transport.Reconnecting;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <summary>A transport as the user knows it, and why it is this one.</summary>
internal sealed record TransportInUse(string Transport, string Reason);

/// <summary>
/// Opens a demander's data connections to its sponsor with tokens from the control channel, and fences off those that failed. Here
/// and nowhere else is it decided over which transport. Used by the handover thread and the link's; each call may wait.
/// </summary>
internal sealed class SponsorConnections(
    SponsorEndpoint sponsor, SponsorClient client, TransportPreference preference, ILogger logger) : IDataConnectionFactory
{
    private const string BothHaveADevice = "both ends have a device";

    private static readonly TimeSpan ConnectTimeout = TimeSpan.FromSeconds(5);

    private readonly Lock _gate = new();
    private readonly Dictionary<ulong, long> _slabs = [];

    /// <summary>Where the slabs are, by the sponsor's protection domain: one as a rule, another where a device was lost.</summary>
    private readonly Dictionary<uint, RemoteSlabs> _places = [];
    private TransportInUse _inUse = new("tcp", "");
    private bool _isRdma;

    /// <summary>What the newest connection travels over.</summary>
    public TransportInUse InUse => Volatile.Read(ref _inUse);

    /// <summary>
    /// Finds out what can be had, by having it once, so that a program is not started into what cannot work. Throws
    /// <see cref="PagerStartException"/> where RDMA is demanded and cannot be had.
    /// </summary>
    public void Choose()
    {
        string? obstacle = preference == TransportPreference.Tcp ? "--transport tcp" : RdmaObstacle();
        _isRdma = obstacle is null;
        Use(_isRdma ? "rdma" : "tcp", obstacle ?? BothHaveADevice);
        if (preference == TransportPreference.Rdma && obstacle is not null)
        {
            throw new PagerStartException($"--transport rdma: {obstacle}; or take --transport auto", 3);
        }

        if (!_isRdma && preference == TransportPreference.Auto && client.Hello.RdmaPort > 0)
        {
            PagerLog.RdmaNotUsed(logger, sponsor.Host, sponsor.Port, obstacle!);
        }
        else
        {
            PagerLog.TransportChosen(logger, sponsor.Host, sponsor.Port, InUse.Transport, InUse.Reason);
        }
    }

    public IDataConnection Open()
    {
        try
        {
            return _isRdma ? OpenRdmaElseTcp() : OpenTcp();
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

    /// <summary>A slab was borrowed; requests on it may follow. Throws <see cref="SponsorException"/> where the sponsor cannot open it to RDMA.</summary>
    public void AddSlab(ulong slab, long bytes)
    {
        lock (_gate)
        {
            foreach ((uint domain, RemoteSlabs places) in _places)
            {
                try
                {
                    Place(slab, bytes, domain, places);
                }
                catch (SponsorException failure) when (failure.Code == SponsorErrorCode.NoSuchDomain)
                {
                    // Its connections have ended; those that replace them ask for every key anew.
                    _ = _places.Remove(domain);
                }
            }

            _slabs.Add(slab, bytes);
        }
    }

    /// <summary>A slab is given back; no request on it is in flight or will be made.</summary>
    public void RemoveSlab(ulong slab)
    {
        lock (_gate)
        {
            _ = _slabs.Remove(slab);
            foreach (RemoteSlabs places in _places.Values)
            {
                places.Remove(slab);
            }
        }
    }

    /// <summary>Null when RDMA can be had; else one line that says what is in the way, with the remedy.</summary>
    private unsafe string? RdmaObstacle()
    {
        if (client.Hello.RdmaPort == 0)
        {
            return "the sponsor offers no RDMA (its own --transport and log say why)";
        }

        long bytes = PagerCore.RegisteredBytes(HandoverAbi.StagingPages);
        if ((RdmaHost.Missing() ?? RdmaHost.PinLimit(bytes)) is { } missing)
        {
            return missing;
        }

        byte* buffers = NativeMemoryMap.Populate((nuint)bytes);
        try
        {
            using RdmaDataConnection trial = OpenRdma();
            int errno = trial.Register(buffers, (nuint)bytes);
            return errno == 0 ? null : DataConnectionException.NotRegistered(bytes, errno);
        }
        catch (Exception failure) when (failure is DataConnectionException or SponsorException or SocketException)
        {
            return failure.Message;
        }
        finally
        {
            _ = Libc.Unmap(buffers, (nuint)bytes);
            lock (_gate)
            {
                // The sponsor's domain ended with its only connection.
                _places.Clear();
            }
        }
    }

    private IDataConnection OpenRdmaElseTcp()
    {
        try
        {
            RdmaDataConnection connection = OpenRdma();
            Use("rdma", BothHaveADevice);
            return connection;
        }
        catch (DataConnectionException failure) when (preference == TransportPreference.Auto)
        {
            IDataConnection connection = OpenTcp();
            Use("tcp", failure.Message);
            PagerLog.RdmaNotUsed(logger, sponsor.Host, sponsor.Port, failure.Message);
            return connection;
        }
    }

    private RdmaDataConnection OpenRdma()
    {
        DataToken token = client.RequestToken();
        return RdmaDataConnection.Connect(
            new IPEndPoint(Address(), client.Hello.RdmaPort), client.Demander, token.Token, ConnectTimeout, PlacesFor);
    }

    private TcpDataConnection OpenTcp()
    {
        DataToken token = client.RequestToken();
        return TcpDataConnection.Connect(new IPEndPoint(Address(), token.Port), client.Demander, token.Token, ConnectTimeout);
    }

    private IPAddress Address() => IPAddress.TryParse(sponsor.Host, out IPAddress? given)
        ? given
        : Dns.GetHostAddresses(sponsor.Host).OrderByDescending(address => address.AddressFamily == AddressFamily.InterNetwork).FirstOrDefault()
            ?? throw new SocketException((int)SocketError.NoData);

    private void Use(string transport, string reason) => Volatile.Write(ref _inUse, new TransportInUse(transport, reason));

    private RemoteSlabs PlacesFor(uint domain)
    {
        lock (_gate)
        {
            if (!_places.TryGetValue(domain, out RemoteSlabs? places))
            {
                places = new RemoteSlabs();
                foreach ((ulong slab, long bytes) in _slabs)
                {
                    Place(slab, bytes, domain, places);
                }

                // Those before it are of devices or connections that are gone.
                _places.Clear();
                _places.Add(domain, places);
            }

            return places;
        }
    }

    private void Place(ulong slab, long bytes, uint domain, RemoteSlabs places)
    {
        (ulong address, uint key) = client.RequestKey(slab, domain);
        if (!places.Set(slab, address, (uint)(bytes >> PageSize.Shift), key))
        {
            throw new SponsorException(SponsorErrorCode.Full, $"no room for more slabs than {_slabs.Count}");
        }
    }

    /// <summary>What cannot be otherwise at the next attempt is a loss: also a sponsor too old to know the request.</summary>
    private static DataConnectionException Translate(SponsorException failure) => new(
        failure.Code switch
        {
            SponsorErrorCode.Unreachable or SponsorErrorCode.Full => DataConnectionFailure.Unreachable,
            // Of a key that is not trusted: it may be changing, and the sponsor keeps for a while what its demander has.
            SponsorErrorCode.Stopping or SponsorErrorCode.NotTrusted => DataConnectionFailure.Busy,
            _ => DataConnectionFailure.Lost,
        },
        failure.Message);
}
