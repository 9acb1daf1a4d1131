using System.Diagnostics;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Numerics;
using System.Runtime.CompilerServices;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Membership;
using Hecatonchire.Sponsor.Cli;
using Hecatonchire.Sponsor.Control;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Slabs;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Sponsor.Hosting;

/// <summary>The sponsor's part in etcd, where <c>--etcd</c> names one: that demanders find it, and that it keeps what demanders have which etcd knows of.</summary>
internal sealed partial class Enrolment(SponsorOptions options, CurveKeyPair keys, SlabStore store, DataServerCounters served, ILogger<Enrolment> logger) : IDisposable
{
    private SponsorMembership? _membership;
    private string[] _addresses = [];
    private long _pages;
    private long _askedAt;

    /// <summary>The cluster that it belongs to; zeros: none, as far as is known.</summary>
    public Guid Cluster => Volatile.Read(ref _membership)?.Cluster ?? options.Cluster;

    /// <summary>From now on demanders may come. The port is the control channel's.</summary>
    public void Start(int port, Guid instance)
    {
        if (options.Etcd is { } etcd)
        {
            Register(etcd, port, instance);
        }
    }

    /// <summary>No more demanders find it.</summary>
    public void Dispose() => Interlocked.Exchange(ref _membership, null)?.Dispose();

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Register(EtcdAddress etcd, int port, Guid instance)
    {
        _addresses = options.Advertise is { } told ? [told] : Addresses(options.Listen);
        var membership = new SponsorMembership(etcd, options.Cluster, () => Record(port, instance), options.EtcdLease, TimeProvider.System, LogWarning);
        store.IsOwned = membership.Leases.Owns;
        Volatile.Write(ref _membership, membership);
        LogRegistered(etcd.Names, _addresses[0], port);
    }

    private SponsorRecord Record(int port, Guid instance) => new()
    {
        Id = SponsorKeys.SponsorId(keys),
        Instance = instance,
        Addresses = _addresses,
        Port = port,
        PublicKey = keys.PublicZ85,
        OfferedBytes = store.OfferedBytes,
        LentBytes = store.LentBytes,
        Load = Load(),
        Labels = options.Labels,
    };

    private long Load()
    {
        long now = Stopwatch.GetTimestamp(), pages = Volatile.Read(ref served.PagesRead) + Volatile.Read(ref served.PagesWritten);
        double load = _askedAt == 0 ? 0 : (pages - _pages) / Math.Max(0.001, Stopwatch.GetElapsedTime(_askedAt, now).TotalSeconds);
        (_askedAt, _pages) = (now, pages);
        return (long)BitOperations.RoundUpToPowerOf2((ulong)load);
    }

    /// <summary>Where a sponsor that listens there is reached: on any address, wherever this host is, IPv4 first; loopback where it is nowhere else.</summary>
    private static string[] Addresses(IPAddress listen)
    {
        if (!listen.Equals(IPAddress.Any) && !listen.Equals(IPAddress.IPv6Any))
        {
            return [listen.ToString()];
        }

        string[] found =
        [
            .. NetworkInterface.GetAllNetworkInterfaces()
                .Where(network => network.OperationalStatus == OperationalStatus.Up && network.NetworkInterfaceType != NetworkInterfaceType.Loopback)
                .SelectMany(network => network.GetIPProperties().UnicastAddresses)
                .Select(unicast => unicast.Address)
                .Where(address => !address.IsIPv6LinkLocal && (address.AddressFamily == AddressFamily.InterNetwork || listen.Equals(IPAddress.IPv6Any)))
                .OrderBy(address => address.AddressFamily == AddressFamily.InterNetwork ? 0 : 1)
                .Select(address => address.ToString())
                .Take(16),
        ];
        return found.Length > 0 ? found : [IPAddress.Loopback.ToString()];
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Registers in etcd {Etcd} as {Address} port {Port}")]
    private partial void LogRegistered(string etcd, string address, int port);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{What}")]
    private partial void LogWarning(string what);
}
