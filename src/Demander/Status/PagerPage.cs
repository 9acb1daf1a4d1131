using Hecatonchire.Metrics;
using Hecatonchire.Pager;

namespace Hecatonchire.Status;

/// <summary>A program's pager, and what is told of it besides its figures.</summary>
internal readonly record struct ServedProgram(IPagerHost Pager, StatusSubject Subject);

/// <summary>What the status page shows of a pager.</summary>
internal sealed record PagerReport : DaemonReport
{
    /// <summary>As `heca status --json`.</summary>
    public required IReadOnlyList<StatusReport> Programs { get; init; }

    /// <summary>As `heca segment list --json`, without addresses.</summary>
    public required IReadOnlyList<SegmentReport> Segments { get; init; }

    public required LiveReport Live { get; init; }
}

/// <summary>The data of a pager's status page, found out while somebody looks at it. From any thread.</summary>
internal sealed class PagerPage
{
    /// <summary>A sponsor's figures change slowly, and each question is a connection.</summary>
    private static readonly TimeSpan s_sponsorsEvery = TimeSpan.FromSeconds(5);

    /// <summary>The pager thread looks through its page tables for these, in steps between faults.</summary>
    private static readonly TimeSpan s_segmentsEvery = TimeSpan.FromSeconds(2);

    private readonly string _daemon;
    private readonly Func<IReadOnlyList<ServedProgram>> _programs;
    private readonly EventRing _events;
    private readonly LiveFigures _live;
    private readonly Refreshed<IReadOnlyList<SegmentReport>> _segments;
    private readonly Refreshed<IReadOnlyList<SponsorReport>>? _sponsors;
    private readonly DateTimeOffset _started = DateTimeOffset.UtcNow;

    /// <param name="daemon">heca run or heca pager.</param>
    /// <param name="programs">Those that are served now.</param>
    /// <param name="instruments">The figures of all of them in one.</param>
    /// <param name="sponsors">Asks all sponsors; may take seconds. Null: they are not known here.</param>
    /// <param name="events">What was said.</param>
    public PagerPage(string daemon, Func<IReadOnlyList<ServedProgram>> programs, PagerInstruments instruments, Func<IReadOnlyList<SponsorReport>>? sponsors, EventRing events)
    {
        (_daemon, _programs, _events) = (daemon, programs, events);
        _live = new LiveFigures(instruments.Snapshot, instruments.CopyLatencies, TimeProvider.System);
        _segments = new Refreshed<IReadOnlyList<SegmentReport>>(() => [.. programs().SelectMany(program => program.Pager.Segments())], [], s_segmentsEvery, TimeProvider.System);
        _sponsors = sponsors is null ? null : new Refreshed<IReadOnlyList<SponsorReport>>(sponsors, [], s_sponsorsEvery, TimeProvider.System);
    }

    /// <summary>/status.json.</summary>
    public byte[] ToJson() => new PagerReport
    {
        Daemon = _daemon,
        Started = _started,
        Now = DateTimeOffset.UtcNow,
        Sponsors = _sponsors?.Get(),
        Programs = [.. _programs().Select(program => StatusReport.Of(program.Pager, program.Subject))],
        Segments = _segments.Get(),
        Live = _live.Now(),
        Events = _events.Events,
    }.ToJson();
}
