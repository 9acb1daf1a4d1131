using System.Net.Sockets;
using Hecatonchire.Control;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Lending;
using Hecatonchire.Transport.Spill;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <content>How it comes to its sponsors.</content>
internal sealed partial class PagerHost
{
    private static readonly TimeSpan SponsorTimeout = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan ProbeTimeout = TimeSpan.FromSeconds(1);

    /// <summary>Where no file can be spilled to is told before a program is started. Throws <see cref="PagerStartException"/>.</summary>
    public static void TrySpill(SpillPlace? place)
    {
        try
        {
            (place is null ? null : new SpillFile(place.Path, place.BytesMax))?.Dispose();
        }
        catch (SpillException e)
        {
            throw new PagerStartException($"--spill: {e.Message}", 1);
        }
    }

    /// <summary>A demander of its own at a sponsor. Throws <see cref="PagerStartException"/>.</summary>
    public static SponsorClient ConnectTo(SponsorEndpoint sponsor, Guid? demander = null)
    {
        try
        {
            return SponsorClient.Connect(sponsor.Host, sponsor.Port, sponsor.PublicKey, demander ?? Guid.NewGuid(),
                $"heca-{Environment.MachineName}-{Environment.ProcessId}", SponsorTimeout);
        }
        catch (SponsorException e)
        {
            throw new PagerStartException(e.Message, 1);
        }
        catch (ZmqUnavailableException e)
        {
            throw new PagerStartException(e.Message, 3);
        }
    }

    /// <summary>Asked before ZeroMQ, which waits long for a sponsor that is not there.</summary>
    public static bool IsListening(SponsorEndpoint sponsor)
    {
        using var probe = new TcpClient();
        try
        {
            return probe.ConnectAsync(sponsor.Host, sponsor.Port).Wait(ProbeTimeout);
        }
        catch (AggregateException)
        {
            return false;
        }
    }

    /// <summary>
    /// Connects to every sponsor as the same demander. With <paramref name="mayLack"/> those that cannot be had are left out while there is one. Throws
    /// <see cref="PagerStartException"/>.
    /// </summary>
    private static List<Lender> ConnectToAll(PagerOptions options, Guid demander, ILogger logger, bool mayLack)
    {
        var lenders = new List<Lender>();
        PagerStartException? failure = null;
        foreach (SponsorEndpoint sponsor in options.Borrowing.Sponsors)
        {
            try
            {
                if (mayLack && options.Borrowing.Sponsors.Count > 1 && !IsListening(sponsor))
                {
                    throw new PagerStartException($"nothing listens on {sponsor.Host}:{sponsor.Port}", 1);
                }

                lenders.Add(ConnectAsLender(options, sponsor, demander, logger));
            }
            catch (PagerStartException e)
            {
                failure = e;
                if (!mayLack)
                {
                    break;
                }

                PagerLog.SponsorNotHere(logger, sponsor.Host, sponsor.Port, e.Message);
            }
        }

        if (failure is null || (mayLack && lenders.Count > 0))
        {
            return lenders;
        }

        DisposeAll(lenders);
        throw failure;
    }

    private static Lender ConnectAsLender(PagerOptions options, SponsorEndpoint sponsor, Guid demander, ILogger logger)
    {
        SponsorClient client = ConnectTo(sponsor, demander);
        try
        {
            var connections = new SponsorConnections(sponsor, client, options.Transport, logger);
            connections.Choose();
            return new Lender(sponsor, client, connections);
        }
        catch
        {
            client.Dispose();
            throw;
        }
    }

    private static void DisposeAll(IEnumerable<Lender> lenders)
    {
        foreach (Lender lender in lenders)
        {
            lender.Dispose();
        }
    }
}
