using Hecatonchire.Interop;
using Hecatonchire.Transport.Rdma;

namespace Hecatonchire.Sponsor.Serving.Rdma;

/// <content>
/// Protection domains: one per demander and device, so that a key of one demander opens nothing to another. A domain is there for as long as a
/// connection is in it; slabs are registered in it when the demander asks for their key.
/// </content>
internal sealed unsafe partial class RdmaServer
{
    private readonly List<Domain> _domains = [];
    private uint _lastDomain;
    private long _exposedBytes;

    private sealed class Domain(uint number, DemanderHandle demander, ulong context, nint handle)
    {
        public readonly uint Number = number;
        public readonly DemanderHandle Demander = demander;

        /// <summary>The device it belongs to.</summary>
        public readonly ulong Context = context;
        public readonly nint Handle = handle;
        public readonly Dictionary<ulong, (nint Region, uint Key, long Bytes)> Regions = [];
    }

    /// <summary>Memory that devices reach, and that is pinned for it.</summary>
    public long ExposedBytes => Interlocked.Read(ref _exposedBytes);

    public bool HasDomain(DemanderHandle demander, uint domain)
    {
        lock (_gate)
        {
            return Find(demander, domain) is not null;
        }
    }

    public string? TryExpose(DemanderHandle demander, uint domain, ulong slab, byte* memory, long bytes, out uint key)
    {
        lock (_gate)
        {
            key = 0;
            Domain? found = Find(demander, domain);
            if (found is null)
            {
                return $"this demander has no domain {domain}";
            }

            if (found.Regions.TryGetValue(slab, out (nint Region, uint Key, long Bytes) known))
            {
                key = known.Key;
                return null;
            }

            nint region;
            uint localKey, remoteKey;
            int status = RdmaLibrary.Register(found.Handle, memory, (ulong)bytes, 1, &region, &localKey, &remoteKey);
            if (status < 0)
            {
                return status == -Errno.ENOMEM
                    ? "the slab cannot be pinned: raise RLIMIT_MEMLOCK of the sponsor (`ulimit -l unlimited`, LimitMEMLOCK=infinity) or free memory of its host"
                    : $"the slab cannot be registered: {Errno.Describe(-status)}";
            }

            found.Regions.Add(slab, (region, remoteKey, bytes));
            _exposedBytes += bytes;
            key = remoteKey;
            return null;
        }
    }

    public void Withdraw(ulong slab)
    {
        lock (_gate)
        {
            foreach (Domain domain in _domains)
            {
                if (domain.Regions.Remove(slab, out (nint Region, uint Key, long Bytes) known))
                {
                    _ = RdmaLibrary.Deregister(known.Region);
                    _exposedBytes -= known.Bytes;
                }
            }
        }
    }

    public void DropConnections(DemanderHandle demander)
    {
        lock (_gate)
        {
            foreach (Connection connection in _connections.Values.Where(connection => connection.Demander == demander).ToArray())
            {
                _ = RdmaLibrary.Disconnect(connection.Id);
                Close(connection.Id);
            }
        }
    }

    private Domain? Find(DemanderHandle demander, uint number) =>
        _domains.Find(known => known.Number == number && known.Demander == demander);

    private Domain? DomainOf(nint id, DemanderHandle demander)
    {
        ulong context = RdmaLibrary.ContextOf(id);
        Domain? domain = _domains.Find(known => known.Demander == demander && known.Context == context);
        if (domain is null)
        {
            nint handle;
            if (RdmaLibrary.OpenDomain(id, &handle) == 0)
            {
                domain = new Domain(++_lastDomain, demander, context, handle);
                _domains.Add(domain);
            }
        }

        return domain;
    }

    /// <summary>Everything of a device goes with it. Each id of it is told; the first does the work.</summary>
    private void LoseDevice(nint id)
    {
        if (id == _listener)
        {
            RdmaLibrary.CloseId(_listener, null);
            (_listener, Port) = (0, 0);
        }

        if (!_connections.TryGetValue(id, out Connection? told))
        {
            return;
        }

        LogDeviceLost(_logger);
        ulong context = told.Domain.Context;
        foreach (Connection connection in _connections.Values.Where(other => other.Domain.Context == context).ToArray())
        {
            Close(connection.Id);
        }
    }

    private void CloseIfUnused(Domain? domain)
    {
        if (domain is null || _connections.Values.Any(connection => connection.Domain == domain))
        {
            return;
        }

        foreach ((nint region, _, long bytes) in domain.Regions.Values)
        {
            _ = RdmaLibrary.Deregister(region);
            _exposedBytes -= bytes;
        }

        _ = RdmaLibrary.CloseDomain(domain.Handle);
        _domains.Remove(domain);
    }
}
