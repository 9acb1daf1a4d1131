using Hecatonchire.Lending;
using Hecatonchire.Transport;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Cli;

/// <summary>Where a command's sponsor comes from: one that runs already, or one of its own that ends with it (Dispose).</summary>
internal interface ISponsorSource : IDisposable
{
    Borrowing Borrowing { get; }
}

/// <summary>Starts a sponsor on this host that offers <paramref name="bytes"/>; returns when it can be connected to.</summary>
internal delegate ISponsorSource EmbeddedSponsorFactory(long bytes, TransportPreference transport);

/// <summary>Sponsors that somebody else runs.</summary>
internal sealed class RemoteSponsors : ISponsorSource
{
    private RemoteSponsors(Borrowing borrowing) => Borrowing = borrowing;

    public Borrowing Borrowing { get; }

    /// <summary>
    /// Those that are named, and what finds more where an etcd is. That need not answer where a sponsor is named: others join when it does. Throws <see cref="CommandException"/>.
    /// </summary>
    public static RemoteSponsors Open(Borrowing borrowing, ILoggerFactory loggers) =>
        borrowing.Etcd is null ? new RemoteSponsors(borrowing) : new RemoteSponsors(borrowing with { Finder = OpenFinder(borrowing, borrowing.Etcd, loggers) });

    public void Dispose() => Borrowing.Finder?.Dispose();

    private static EtcdSponsors OpenFinder(Borrowing borrowing, EtcdPlace place, ILoggerFactory loggers)
    {
        var finder = new EtcdSponsors(place, borrowing.Cluster, loggers.CreateLogger("heca.etcd"));
        if (finder.WaitForFirst(isPatient: borrowing.Sponsors.Count == 0) is { } problem && borrowing.Sponsors.Count == 0)
        {
            finder.Dispose();
            throw new CommandException($"{problem}: which sponsors there are is not known; name one with --sponsor to start without etcd", ExitStatus.Failed);
        }

        return finder;
    }
}
