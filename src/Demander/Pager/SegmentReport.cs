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

    [JsonIgnore]
    public Guid Guid => Guid.ParseExact(Id, "N");

    public static SegmentReport Of(int program, in SegmentFigures figures, bool captures) => new()
    {
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
