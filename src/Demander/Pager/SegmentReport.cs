using System.Globalization;
using System.Text.Json.Serialization;
using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>What may become of a segment's length.</summary>
internal enum SegmentChange
{
    Grow,

    /// <summary>Where no page that goes was ever touched.</summary>
    Shrink,

    /// <summary>Shrinks, and what the program has in pages that go is given up.</summary>
    Drop,
}

/// <summary>A segment of a running program, as `heca segment list` shows it.</summary>
internal sealed record SegmentReport
{
    /// <summary>Segments of a pager that have a map: as many as a person looks at, and as fit into a packet.</summary>
    public const int MapsMax = 64;

    /// <summary>128 bits, drawn when it was allocated: 32 hexadecimal digits.</summary>
    public required string Id { get; init; }

    /// <summary>The process id of its program.</summary>
    public required int Program { get; init; }

    public required string Name { get; init; }

    public required ulong Address { get; init; }

    public required long Bytes { get; init; }

    /// <summary>What it can grow to; 0 where it cannot.</summary>
    public required long ReserveBytes { get; init; }

    public required long ResidentBytes { get; init; }

    public required long RemoteBytes { get; init; }

    public required long LostBytes { get; init; }

    /// <summary>A window of memory that the program has mapped itself.</summary>
    public required bool IsCaptured { get; init; }

    /// <summary>
    /// Where in it the pages are that are resident, remote, and lost: a digit for each of at most 256 equal parts, from 0 (none of its pages) to 9 (all). Null where there are
    /// none at all, and of segments beyond the first <see cref="MapsMax"/>.
    /// </summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? ResidentMap { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? RemoteMap { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? LostMap { get; init; }

    [JsonIgnore]
    public Guid Guid => Guid.ParseExact(Id, "N");

    /// <param name="program">Its process.</param>
    /// <param name="figures">What a survey has found.</param>
    /// <param name="captures">The program has mapped its memory itself.</param>
    /// <param name="cells">What the survey has found where.</param>
    /// <param name="number">Which segment of the survey it is.</param>
    public static SegmentReport Of(int program, in SegmentFigures figures, bool captures, SegmentCells cells, int number) => new()
    {
        ResidentMap = figures.ResidentPages == 0 ? null : cells.Digits(number, figures.Pages, PagePlace.Here),
        RemoteMap = figures.RemotePages == 0 ? null : cells.Digits(number, figures.Pages, PagePlace.Remote),
        LostMap = figures.LostPages == 0 ? null : cells.Digits(number, figures.Pages, PagePlace.Lost),
        Id = figures.Id.ToString("N", CultureInfo.InvariantCulture),
        Program = program,
        Name = NameOf(program),
        Address = figures.Address,
        Bytes = figures.Pages << PageSize.Shift,
        ReserveBytes = figures.ReservePages << PageSize.Shift,
        ResidentBytes = figures.ResidentPages << PageSize.Shift,
        RemoteBytes = figures.RemotePages << PageSize.Shift,
        LostBytes = figures.LostPages << PageSize.Shift,
        IsCaptured = captures && figures.ReservePages == 0,
    };

    private static string NameOf(int process)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/comm").TrimEnd('\n');
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    /// <summary>Why a change from outside was refused, for the user.</summary>
    public static string WhyNot(int errno) => errno switch
    {
        Errno.ENOENT => "there is no such segment any more",
        Errno.EOPNOTSUPP => "its program rearranges its memory itself (HECA_CHANGES=told), has had it captured, or has a libheca.so of an earlier version: then only the program changes its size",
        Errno.ENOMEM => "it would exceed what the program has reserved for it, or this host has no room for its page tables",
        Errno.ENOSPC => "the sponsors cannot take that much: raise their --memory, or see `heca cluster status`",
        Errno.ENOTEMPTY => "the program has used pages that would go: --drop gives their contents up, and a thread that touches them gets SIGSEGV",
        Errno.EAGAIN => "the program has been in a call of libheca's all the time: try again",
        Errno.ESRCH => "its program has ended",
        Errno.EINVAL => "its size is another by now, or that is none for a segment: look at `heca segment list`",
        _ => Errno.Describe(errno),
    };
}
