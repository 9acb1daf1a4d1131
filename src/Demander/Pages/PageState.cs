namespace Hecatonchire.Pages;

/// <summary>Where the newest version of a page is.</summary>
internal enum PageState : byte
{
    /// <summary>Never written: reads as zero, has no slot.</summary>
    Untouched = 0,

    /// <summary>In the program. A slot, where there is one, holds the version whose hash is kept.</summary>
    Resident = 1,

    /// <summary>On a sponsor, a READ of it is in flight and room for it is reserved.</summary>
    Fetching = 2,

    /// <summary>On a sponsor, and a copy is in a held buffer of the pager: the marker page of a prefetch window.</summary>
    Held = 3,

    /// <summary>In the program or already in its staging area: the evictor has the command and has not answered.</summary>
    Taking = 4,

    /// <summary>In staging (and in the pager's mirror of it), not yet on every replica asked for.</summary>
    Leaving = 5,

    /// <summary>Its only copies are on sponsors.</summary>
    Remote = 6,

    /// <summary>No sponsor can return it; the next touch raises SIGBUS.</summary>
    Lost = 7,

    /// <summary>The program gave the contents up; the evictor is dropping it.</summary>
    Dropping = 8,

    /// <summary>Write-protected and unchanged since it came from its slot; the evictor is dropping it.</summary>
    Clearing = 9,
}

/// <summary>What can happen to a page.</summary>
internal enum PageEvent : byte
{
    ZeroFill = 0,
    FetchStart,
    FetchDone,
    FetchHeld,
    FetchAborted,
    FetchLost,
    HeldInstall,
    HeldRelease,
    TakeStart,
    TakeDone,
    TakeBusy,
    TakeHole,
    LeaveClean,
    LeaveZero,
    LeaveAcknowledged,
    Recall,
    DropStart,
    DropDone,
    ClearStart,
    ClearDone,
    ClearBusy,
    Discard,
    Lose,

    /// <summary>The program has the kernel drop the page: munmap, madvise.</summary>
    Vanish,

    /// <summary>The page was there before its range became the pager's.</summary>
    Adopt,
}

/// <summary>The page state machine: one transition function, every (state, event) pair decided.</summary>
internal static class PageTransitions
{
    /// <summary>What <see cref="Next"/> answers for an event that must not happen in a state.</summary>
    public const PageState Impossible = (PageState)0xFF;

    public const int States = 10;
    public const int Events = 25;

    /// <summary>The state after <paramref name="happened"/> in <paramref name="state"/>, or <see cref="Impossible"/>.</summary>
    public static PageState Next(PageState state, PageEvent happened) => (happened, state) switch
    {
        (PageEvent.ZeroFill or PageEvent.Adopt, PageState.Untouched) => PageState.Resident,
        (PageEvent.FetchStart, PageState.Remote) => PageState.Fetching,
        (PageEvent.FetchDone, PageState.Fetching) => PageState.Resident,
        (PageEvent.FetchHeld, PageState.Fetching) => PageState.Held,
        (PageEvent.FetchAborted, PageState.Fetching) => PageState.Remote,
        (PageEvent.FetchLost, PageState.Fetching) => PageState.Lost,
        (PageEvent.HeldInstall, PageState.Held) => PageState.Resident,
        (PageEvent.HeldRelease, PageState.Held) => PageState.Remote,
        (PageEvent.TakeStart, PageState.Resident) => PageState.Taking,
        (PageEvent.TakeDone, PageState.Taking) => PageState.Leaving,
        (PageEvent.TakeBusy, PageState.Taking) => PageState.Resident,
        (PageEvent.TakeHole, PageState.Taking) => PageState.Untouched,
        (PageEvent.LeaveClean, PageState.Leaving) => PageState.Remote,
        (PageEvent.LeaveZero, PageState.Leaving) => PageState.Untouched,
        (PageEvent.LeaveAcknowledged, PageState.Leaving) => PageState.Remote,
        (PageEvent.Recall, PageState.Leaving) => PageState.Resident,
        (PageEvent.DropStart, PageState.Resident or PageState.Lost) => PageState.Dropping,
        (PageEvent.DropDone, PageState.Dropping) => PageState.Untouched,
        (PageEvent.ClearStart, PageState.Resident) => PageState.Clearing,
        (PageEvent.ClearDone, PageState.Clearing) => PageState.Remote,
        (PageEvent.ClearBusy, PageState.Clearing) => PageState.Resident,
        (PageEvent.Discard, PageState.Untouched or PageState.Remote or PageState.Held or PageState.Leaving) => PageState.Untouched,
        (PageEvent.Vanish, PageState.Resident or PageState.Lost) => PageState.Untouched,
        (PageEvent.Lose, PageState.Remote or PageState.Untouched or PageState.Leaving) => PageState.Lost,
        _ => Impossible,
    };
}
