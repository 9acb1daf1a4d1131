using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <summary>What the pager logs; from the pager thread only where a program is being forked.</summary>
internal static partial class PagerLog
{
    [LoggerMessage(Level = LogLevel.Warning, Message = "The pager's memory could not be locked ({Reason}); it may be swapped out under pressure")]
    public static partial void NotLocked(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Pages travel to sponsor {Host}:{Port} over {Transport}: {Reason}")]
    public static partial void TransportChosen(ILogger logger, string host, int port, string transport, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Pages travel to sponsor {Host}:{Port} over tcp although it offers RDMA: {Why}")]
    public static partial void RdmaNotUsed(ILogger logger, string host, int port, string why);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Sponsor {Host}:{Port} is left out: {Why}")]
    public static partial void SponsorNotHere(ILogger logger, string host, int port, string why);

    [LoggerMessage(Level = LogLevel.Error, Message = "A forked child cannot be served ({Reason}): it stops where it touches a page that is not here")]
    public static partial void ChildNotServed(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Process {Process} was stopped: the processes that share memory with it have come to this pager, and it has not within {Seconds} s")]
    public static partial void ProcessGivenUp(ILogger logger, int process, double seconds);

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "The data connections to sponsor {Host}:{Port} are down ({Why}); the program waits, for {Seconds} s at most")]
    public static partial void ConnectionsDelayed(ILogger logger, string host, int port, string why, double seconds);

    [LoggerMessage(
        Level = LogLevel.Warning,
        Message = "The data connections to sponsor {Host}:{Port} ended ({Why}) and were rebuilt within {Milliseconds} ms; no page is lost")]
    public static partial void ConnectionsRebuilt(ILogger logger, string host, int port, string why, long milliseconds);
}
