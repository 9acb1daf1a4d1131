using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Pager;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Reconnecting;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Lending;

/// <summary>A sponsor as one demander borrows from it: the control channel, and how data connections are made. Its use by a program is a <see cref="LenderLink"/>.</summary>
internal sealed record Lender(SponsorEndpoint Endpoint, SponsorClient Client, SponsorConnections Connections) : IDisposable
{
    /// <summary>As people name it.</summary>
    public string Name => $"{Endpoint.Host}:{Endpoint.Port}";

    public void Dispose() => Client.Dispose();
}

/// <summary>A sponsor that a program's stripes are on, with the two data connections to it.</summary>
internal sealed class LenderLink : IDisposable
{
    private long _freeBytes;
    private long _statsAt;
    private long _pages;

    /// <summary>Opens the connections. Throws <see cref="DataConnectionException"/>.</summary>
    public LenderLink(Lender lender, ILogger logger)
    {
        Lender = lender;
        DataLinkOptions options = new();
        Link = new DataLink(lender.Connections, connections: 2, options, TimeProvider.System)
        {
            OnDelayed = why => PagerLog.ConnectionsDelayed(logger, lender.Endpoint.Host, lender.Endpoint.Port, why, options.GiveUpAfter.TotalSeconds),
            OnRebuilt = (why, after) => PagerLog.ConnectionsRebuilt(logger, lender.Endpoint.Host, lender.Endpoint.Port, why, (long)after.TotalMilliseconds),
        };
        _freeBytes = lender.Client.Hello.FreeBytes;
    }

    public Lender Lender { get; }

    public DataLink Link { get; }

    /// <summary>Its number in the <see cref="Transport.Striped.SponsorSet"/>.</summary>
    public int Number { get; set; } = -1;

    /// <summary>True once nothing it holds can be had any more.</summary>
    public bool IsLost => LossReason is not null;

    /// <summary>Why, in a few words.</summary>
    public string? LossReason { get; set; }

    public bool IsLossTold { get; set; }

    /// <summary>Pages that it had the only copy of when it was lost.</summary>
    public long PagesLost { get; set; }

    /// <summary>It was asked to take something back, and did not answer: it is not asked again.</summary>
    public bool DoesNotAnswer { get; set; }

    /// <summary>Asked for more than it had; until this time of <see cref="Environment.TickCount64"/> it is asked only if no other can give.</summary>
    public long FullUntil { get; set; }

    /// <summary>Asked, it did not lend for another reason: until this time it is passed over.</summary>
    public long SilentUntil { get; set; }

    /// <summary>What it has to lend, as last heard.</summary>
    public long FreeBytes
    {
        get => Interlocked.Read(ref _freeBytes);
        set => Interlocked.Exchange(ref _freeBytes, value);
    }

    /// <summary>Pages a second that it serves, all its demanders together, as last heard.</summary>
    public double Load { get; private set; }

    /// <summary>True when a request to it would probably be answered.</summary>
    public bool IsHere => !IsLost && !Link.IsRebuilding && Lender.Client.IsAlive;

    /// <summary>What it says of itself, now and then.</summary>
    public void NoteStats(StatsAnswer stats)
    {
        long now = Environment.TickCount64, pages = stats.PagesRead + stats.PagesWritten;
        Load = _statsAt == 0 ? 0 : (pages - _pages) * 1000.0 / Math.Max(1, now - _statsAt);
        (_statsAt, _pages, FreeBytes) = (now, pages, stats.FreeBytes);
    }

    public void Dispose() => Link.Dispose();
}
