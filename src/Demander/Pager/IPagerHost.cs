using Hecatonchire.Metrics;
using Microsoft.Extensions.Logging;

namespace Hecatonchire.Pager;

/// <summary>Starts a pager; throws <see cref="PagerStartException"/>.</summary>
internal delegate IPagerHost PagerFactory(PagerOptions options, ILoggerFactory loggers);

/// <summary>
/// A running pager for one program, as the command line sees it: `run` and `bench` start one, or have the host's service do it, hand its socket to a
/// child through HECA_SOCKET, read its figures, and dispose it when the child has ended.
/// </summary>
internal interface IPagerHost : IDisposable
{
    /// <summary>The value for HECA_SOCKET.</summary>
    string SocketPath { get; }

    PagerSnapshot Snapshot();

    /// <summary>Copies the fault latencies so far (nanoseconds, from event read to page installed).</summary>
    void CopyLatencies(LatencyHistogram target);

    /// <summary>The processes that have memory in the pager's hands: the program, what it has forked, and what it has started where that is followed.</summary>
    IReadOnlyList<int> Programs { get; }

    /// <summary>True while a program is connected, whatever it has in the pager's hands.</summary>
    bool IsServing { get; }

    /// <summary>Returns when every thread here that serves a program has been seen to go on.</summary>
    void AwaitProgress()
    {
    }

    /// <summary>The segments of all its programs, and where their pages are.</summary>
    IReadOnlyList<SegmentReport> Segments();

    /// <summary>
    /// Changes the length of a segment of a running program, in place. Null when that is done, else why not, in one line.
    /// </summary>
    string? ResizeSegment(Guid id, long bytes, SegmentChange change);

    /// <summary>One line for the user if the pager could not go on (a sponsor lost, for example); null while all is well.</summary>
    string? Failure { get; }
}

/// <summary>A pager in this process, as a benchmark needs it.</summary>
internal interface IMeasuredPager : IPagerHost
{
    /// <summary>Starts the latencies over, so that a benchmark can leave its fill out.</summary>
    void ResetMeasurements();

    /// <summary>Records the hard faults from now on, for a program with one thread that faults; null: no more.</summary>
    void TraceFaults(FaultTrace? trace);
}
