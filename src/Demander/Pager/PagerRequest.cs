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

    public void Dispose() => Done.Dispose();
}

/// <summary>Advice of heca.h.</summary>
internal static class ProgramAdvice
{
    public const int Normal = 0, Random = 1, Sequential = 2, WillNeed = 3, DontNeed = 4, PageOut = 5;
}
