using System.Net.Sockets;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Lending;
using Hecatonchire.Transport.Sealing;
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

    /// <summary>Where no page can be sealed is told before a program is started. Throws <see cref="PagerStartException"/>.</summary>
    public static void TrySeal(bool seals, string? folder)
    {
        if (!seals)
        {
            return;
        }

        // One that is yet to be made is where its parent is.
        while (folder is not null && !Directory.Exists(folder))
        {
            folder = Path.GetDirectoryName(folder);
        }

        try
        {
            SealFile.CheckHost(folder);
        }
        catch (SealException e)
        {
            throw new PagerStartException($"--seal: {e.Message}", 1);
        }
    }

    /// <summary>A demander of its own at a sponsor. Throws <see cref="PagerStartException"/>.</summary>
    public static SponsorClient ConnectTo(SponsorEndpoint sponsor, Guid? demander = null, DemanderKey? key = null)
    {
        try
        {
            return SponsorClient.Connect(sponsor.Host, sponsor.Port, sponsor.PublicKey, demander ?? Guid.NewGuid(),
                $"heca-{Environment.MachineName}-{Environment.ProcessId}", new SponsorClientOptions { RequestTimeout = SponsorTimeout, Key = key });
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
    /// Connects to every sponsor that is named as the same demander; with <paramref name="mayLack"/> those that cannot be had are left out while there is one. So are they always of
    /// those that are found, of which as many are taken as a program can have, and those first that hold something for it. Throws <see cref="PagerStartException"/>.
    /// </summary>
    private static List<Lender> ConnectToAll(PagerOptions options, Guid demander, ILogger logger, bool mayLack, IReadOnlyCollection<Guid>? holding = null)
    {
        Borrowing borrowing = options.Borrowing;
        var lenders = new List<Lender>();
        PagerStartException? failure = null;
        try
        {
            foreach (SponsorEndpoint sponsor in borrowing.Sponsors)
            {
                failure = TryAdd(sponsor, mayLack && borrowing.All.Count > 1) ?? failure;
            }

            foreach (FoundSponsor found in InOrder(borrowing.Finder?.Sponsors ?? [], holding ?? []))
            {
                if (lenders.Count < StripePool.SponsorsMax && !borrowing.Sponsors.Contains(found.Endpoint) && !lenders.Exists(lender => lender.Client.Hello.Instance == found.Instance))
                {
                    failure = TryAdd(found.Endpoint, mayLackThis: true) ?? failure;
                }
            }

            return lenders.Count > 0 ? lenders
                : throw failure ?? new PagerStartException("no sponsor is registered in etcd: start heca-sponsor with --etcd, or name one with --sponsor", 1);
        }
        catch
        {
            DisposeAll(lenders);
            throw;
        }

        PagerStartException? TryAdd(SponsorEndpoint sponsor, bool mayLackThis)
        {
            try
            {
                if (mayLackThis && !IsListening(sponsor))
                {
                    throw new PagerStartException($"nothing listens on {sponsor.Host}:{sponsor.Port}", 1);
                }

                Lender lender = ConnectAsLender(options, sponsor, demander, logger);
                if (lenders.Find(other => other.Client.Hello.Instance == lender.Client.Hello.Instance) is { } same)
                {
                    // Two connections as one demander: what one gives back the other would have had.
                    lender.Dispose();
                    return borrowing.Sponsors.Contains(sponsor)
                        ? throw new PagerStartException($"{sponsor.Host}:{sponsor.Port} and {same.Endpoint.Host}:{same.Endpoint.Port} are the same sponsor: name it once", 1)
                        : null;
                }

                lenders.Add(lender);
                return null;
            }
            catch (PagerStartException e) when (mayLackThis)
            {
                PagerLog.SponsorNotHere(logger, sponsor.Host, sponsor.Port, e.Message);
                return e;
            }
        }
    }

    /// <summary>Those that hold something first, the others as chance has it: of many sponsors not all demanders take the same.</summary>
    private static FoundSponsor[] InOrder(IReadOnlyList<FoundSponsor> found, IReadOnlyCollection<Guid> holding)
    {
        FoundSponsor[] order = [.. found];
        Random.Shared.Shuffle(order);
        return [.. order.OrderBy(sponsor => holding.Contains(sponsor.Instance) ? 0 : 1)];
    }

    private static Lender ConnectAsLender(PagerOptions options, SponsorEndpoint sponsor, Guid demander, ILogger logger)
    {
        SponsorClient client = ConnectTo(sponsor, demander, options.Borrowing.Key);
        try
        {
            if (options.Borrowing.Obstacle(sponsor, client.Hello.Cluster) is { } obstacle)
            {
                throw new PagerStartException(obstacle, 1);
            }

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
