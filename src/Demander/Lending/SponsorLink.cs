using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Pager;
using Hecatonchire.Transport.Reconnecting;
using Hecatonchire.Transport.Striped;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Lending;

/// <summary>A sponsor as one demander borrows from it: the control channel, and how data connections are made. Its use by a program is a <see cref="SponsorLink"/>.</summary>
internal sealed record Lender(SponsorEndpoint Endpoint, SponsorClient Client, SponsorConnections Connections) : IDisposable
{
    public void Dispose() => Client.Dispose();
}

/// <summary>A sponsor that a program's stripes are on.</summary>
internal sealed class SponsorLink : LenderLink
{
    private readonly Lender _lender;
    private readonly DataLink _link;
    private long _statsAt;
    private long _pages;
    private long _offeredBytes;

    /// <summary>Opens the connections. Throws <see cref="Transport.DataConnectionException"/>; the lender is the caller's then.</summary>
    public SponsorLink(Lender lender, ILogger logger)
    {
        _lender = lender;
        DataLinkOptions options = new();
        _link = new DataLink(lender.Connections, connections: 2, options, TimeProvider.System)
        {
            OnDelayed = why => PagerLog.ConnectionsDelayed(logger, lender.Endpoint.Host, lender.Endpoint.Port, why, options.GiveUpAfter.TotalSeconds),
            OnRebuilt = (why, after) => PagerLog.ConnectionsRebuilt(logger, lender.Endpoint.Host, lender.Endpoint.Port, why, (long)after.TotalMilliseconds),
        };
        FreeBytes = lender.Client.Hello.FreeBytes;
    }

    public override string Name => $"{Endpoint.Host}:{Endpoint.Port}";

    public SponsorEndpoint Endpoint => _lender.Endpoint;

    public TransportInUse InUse => _lender.Connections.InUse;

    public override Guid Instance => _lender.Client.Hello.Instance;

    public override long SlabBytesMin => _lender.Client.Hello.SlabBytesMin;

    public override long SlabBytesMax => _lender.Client.Hello.SlabBytesMax;

    public override ISponsorConnection Reader => _link[0];

    public override ISponsorConnection Writer => _link[1];

    public override bool IsRebuilding => _link.IsRebuilding;

    public override long Rebuilds => _link.Rebuilds;

    public override bool IsHere => !IsLost && !_link.IsRebuilding && _lender.Client.IsAlive;

    /// <summary>Who does not say where it is, is where all are that do not.</summary>
    public override string PlaceIn(string label) => _lender.Client.Hello.Labels[label] ?? (label == Labels.Host ? Endpoint.Host : "");

    public override void Start() => _link.Start();

    public override SlabEntry Allocate(long bytes, TimeSpan timeout)
    {
        SlabEntry slab;
        try
        {
            slab = _lender.Client.AllocateSlab(bytes, timeout);
        }
        catch (SponsorException e) when (e.Code == SponsorErrorCode.Unreachable)
        {
            DoesNotAnswer = true;
            throw;
        }

        try
        {
            _lender.Connections.AddSlab(slab.Slab, slab.Bytes);
            return slab;
        }
        catch (SponsorException)
        {
            Free(slab.Slab, timeout);
            throw;
        }
    }

    /// <summary>One that is gone would be waited for, slab by slab; one that is not frees them itself after its gone-after time.</summary>
    public override void Free(ulong slab, TimeSpan timeout)
    {
        _lender.Connections.RemoveSlab(slab);
        DoesNotAnswer |= !IsLost && !_lender.Client.IsAlive;
        if (IsLost || DoesNotAnswer)
        {
            return;
        }

        try
        {
            _lender.Client.FreeSlab(slab, timeout);
        }
        catch (Exception e) when (e is SponsorException or ObjectDisposedException)
        {
            DoesNotAnswer = e is SponsorException { Code: SponsorErrorCode.Unreachable };
        }
    }

    public override IReadOnlyList<SlabEntry> ListSlabs(TimeSpan? timeout = null) => _lender.Client.ListSlabs(timeout);

    public override void Adopt(ulong slab, long bytes) => _lender.Connections.AddSlab(slab, bytes);

    public override void AskFigures(TimeSpan timeout)
    {
        StatsAnswer stats = _lender.Client.Stats(timeout);
        long now = Environment.TickCount64, pages = stats.PagesRead + stats.PagesWritten;
        Load = _statsAt == 0 ? 0 : (pages - _pages) * 1000.0 / Math.Max(1, now - _statsAt);
        HasRoomAnew |= _statsAt != 0 && stats.OfferedBytes - _offeredBytes >= SlabBytesMin;
        (_statsAt, _pages, _offeredBytes) = (now, pages, stats.OfferedBytes);
        (FreeBytes, ReclaimBytes) = (stats.FreeBytes, stats.ReclaimBytes);
    }

    public override void Disconnect() => _link.Dispose();

    public override void Dispose()
    {
        Disconnect();
        _lender.Dispose();
    }
}
