using Hecatonchire.Install;
using Hecatonchire.Pages;

namespace Hecatonchire.Pager;

internal enum PagerRequestKind
{
    Allocate,
    Free,
    Resize,
    Advise,

    /// <summary>Takes ranges over that the program has mapped itself, with what is in them. EAGAIN: look at the mappings again.</summary>
    Capture,

    /// <summary>Changes the length of a segment by order from outside of the program. EAGAIN: the program is in a call of its own; ENOTEMPTY: it has touched what would go.</summary>
    ResizeFromOutside,

    /// <summary>Looks at all segments, and where their pages are.</summary>
    Survey,

    /// <summary>Tells what was measured of a program whose memory is captured.</summary>
    Measure,
}

/// <summary>
/// Something the program asked for, carried out by the pager thread between faults and in steps. One at a time; made
/// and waited for by the thread that serves the program, or the one that captures its memory.
/// </summary>
internal sealed class PagerRequest(PagerRequestKind kind) : IDisposable
{
    public PagerRequestKind Kind { get; } = kind;

    public ulong Address { get; init; }

    public long Pages { get; init; }

    /// <summary>enum heca_advice of heca.h.</summary>
    public int Advice { get; init; }

    /// <summary>Of a Capture; at most <see cref="PagerCore.CaptureRangesMax"/>.</summary>
    public IReadOnlyList<AddressRange> Ranges { get; init; } = [];

    /// <summary>Of a Capture: <see cref="PagerCore.PlaceChanges"/> before the ranges were looked for.</summary>
    public long PlaceChanges { get; init; }

    /// <summary>Of a Measure: resident pages of the program that are not in the pager's hands.</summary>
    public long OutsidePages { get; init; }

    /// <summary>Of a Measure: no more slots can be had.</summary>
    public bool IsSponsorFull { get; init; }

    /// <summary>Of an Allocate: the segment's name and what it can grow to.</summary>
    public SegmentIdentity Identity { get; init; }

    /// <summary>Of a ResizeFromOutside: what the program has in the pages that go is given up.</summary>
    public bool MayDrop { get; init; }

    /// <summary>Of a Survey: room for <see cref="SegmentTable.Capacity"/>; the first <see cref="Found"/> are filled.</summary>
    public SegmentFigures[] Figures { get; init; } = [];

    /// <summary>Of a Survey: where in the segments the pages are; null: nobody wants to know.</summary>
    public SegmentCells? Cells { get; init; }

    public int Found { get; set; }

    /// <summary>0 or -errno.</summary>
    public int Status { get; set; }

    /// <summary>The segment an Allocate made.</summary>
    public Segment? Segment { get; set; }

    /// <summary>Set by the pager thread when the request has ended.</summary>
    public ManualResetEventSlim Done { get; } = new(false);

    // The pager thread's place in it.
    public long Cursor { get; set; }

    public long End { get; set; }

    public long WaitCursor { get; set; }

    public ResizeStage Stage { get; set; }

    public void Dispose() => Done.Dispose();
}

/// <summary>How far a change from outside is.</summary>
internal enum ResizeStage : byte
{
    /// <summary>Waits until no page that goes is in flight.</summary>
    Settle,
    Order,
    Ordered,

    /// <summary>The program does not have the pages any more.</summary>
    GiveUp,

    /// <summary>It keeps them.</summary>
    Reopen,
}

/// <summary>A segment and where its pages are.</summary>
internal record struct SegmentFigures
{
    public Guid Id { get; set; }

    public ulong Address { get; set; }

    public long Pages { get; set; }

    /// <summary>0: it is none that the program has asked for.</summary>
    public long ReservePages { get; set; }

    /// <summary>In the program, those on their way out included.</summary>
    public long ResidentPages { get; set; }

    /// <summary>On sponsors, those on their way here included.</summary>
    public long RemotePages { get; set; }

    /// <summary>No sponsor can return them.</summary>
    public long LostPages { get; set; }
}

/// <summary>Advice of heca.h.</summary>
internal static class ProgramAdvice
{
    public const int Normal = 0, Random = 1, Sequential = 2, WillNeed = 3, DontNeed = 4, PageOut = 5;
}
