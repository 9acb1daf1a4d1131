using Hecatonchire.Install;
using Hecatonchire.Pager;

namespace Hecatonchire.Capture;

/// <summary>A program whose memory is captured, and its pager, as the capturing thread sees them. Any call may come from that thread.</summary>
internal interface ICapturedProgram
{
    /// <summary>
    /// Pages of address space, and of these resident ones that belong to no file. Throws <see cref="IOException"/> once the program is gone.
    /// </summary>
    (long Mapped, long Anonymous) ReadPages();

    void ReadMappings(List<Mapping> mappings);

    /// <summary>Adds the ranges that must stay out of the pager's hands now.</summary>
    void ReadKeptOut(List<AddressRange> ranges);

    /// <summary>Pages of the program that the pager counts: captured ones, and those on their way out.</summary>
    long PagesInHand { get; }

    /// <summary>What the program may have here, in pages, by `--local` and by its memory cgroup, when so many are resident.</summary>
    long BoundPages(long anonymous);

    /// <summary>
    /// True where the kernel kills a program that is above its bound: then memory is captured when it is mapped, not when it has been filled.
    /// </summary>
    bool IsStrict { get; }

    /// <summary><see cref="PagerCore.PlaceChanges"/>.</summary>
    long PlaceChanges { get; }

    /// <summary><see cref="IProgramMemory.FindRegistered"/>.</summary>
    int FindRegistered(ulong address);

    /// <summary>Has the pager take ranges over; 0 or -errno.</summary>
    int Capture(IReadOnlyList<AddressRange> ranges, long placeChanges);

    /// <summary>Tells the pager what it has not in hand, and whether there is no more to be had from the sponsor.</summary>
    void Measure(long outsidePages, bool isSponsorFull);

    /// <summary><see cref="PagerCounters.SharedRounds"/>.</summary>
    long SharedRounds { get; }

    /// <summary>Has slots free ahead of need, or tries to; false when they run out and the sponsor has no more.</summary>
    bool EnsureFreeSlots();
}
