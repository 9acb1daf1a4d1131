using Hecatonchire.Install;

namespace Hecatonchire.Pages;

/// <summary>A change of the address space that the kernel has told, and how far it is carried out: removed, unmapped or remapped.</summary>
internal struct LeftChange
{
    public FaultKind Kind;
    public ulong Start;
    public ulong End;

    /// <summary>Where the pages have moved.</summary>
    public ulong Target;

    /// <summary>
    /// Of a move the page that is next, with <see cref="PageTableFile.IsMoving"/> while its entry may be at both places. The others are done anew from their start:
    /// nothing comes into their ranges before they are done.
    /// </summary>
    public ulong Cursor;
}

/// <content>
/// What the kernel has told of the address space and what is not carried out. The kernel tells it once, so it is written down before anything else is done, and
/// taken off when the last of it is. Each store leaves what is true, whichever is the last that is done.
/// </content>
internal sealed unsafe partial class PageTableFile
{
    /// <summary>Changes that are written down at most; with more the next pager cannot go on.</summary>
    public const int ChangesMax = 256;

    /// <summary>Ranges of <see cref="WritePlaced"/> at most.</summary>
    public const int PlacedMax = 64;

    /// <summary>In a cursor: the page's entry is being moved. The entry at the target is true when the one at the source is blank.</summary>
    public const ulong IsMoving = 1;

    private const int NotedShift = 16;
    private const int ForkUntold = 1;
    private const int TooManyUntold = 2;

    private LeftChange* ChangeRing => (LeftChange*)(_memory + ChangesOffset);

    private AddressRange* PlacedRanges => (AddressRange*)(_memory + PlacedOffset);

    private ulong NotedCount => Header->Noted >> NotedShift;

    /// <summary>True while something was read that is not written down here: a fork, or more changes than there is place for. Nobody can go on then.</summary>
    public bool HasUntold => Header->Untold != 0;

    /// <summary>How many of the changes among the messages, from the first on, are written down already.</summary>
    public int MessagesNoted => (int)(Header->Noted & ((1 << NotedShift) - 1));

    /// <summary>Those that are not carried out, in their order. Throws <see cref="InvalidDataException"/>.</summary>
    public LeftChange[] Changes
    {
        get
        {
            ulong done = Header->Done, pending = NotedCount - done;
            if (pending > ChangesMax)
            {
                throw new InvalidDataException("the page tables are damaged");
            }

            var changes = new LeftChange[pending];
            for (int i = 0; i < changes.Length; i++)
            {
                changes[i] = ChangeRing[(done + (ulong)i) % ChangesMax];
                if (changes[i] is not { Kind: FaultKind.Removed or FaultKind.Unmapped or FaultKind.Remapped } change || change.Start >= change.End)
                {
                    throw new InvalidDataException("the page tables are damaged");
                }
            }

            return changes;
        }
    }

    /// <summary>As the pager knows it; see <see cref="WritePlaced"/>.</summary>
    public AddressRange[] Placed => Header->PlacedCount is >= 0 and <= PlacedMax and var count ? [.. new ReadOnlySpan<AddressRange>(PlacedRanges, count)] : [];

    /// <summary>Another one is to be carried out, after those that are here. <paramref name="isMessage"/>: it is the next of the changes in the messages.</summary>
    public void NoteChange(in LeftChange change, bool isMessage)
    {
        ulong noted = NotedCount;
        if (noted - Header->Done == ChangesMax)
        {
            Volatile.Write(ref Header->Untold, Header->Untold | TooManyUntold);
            return;
        }

        ChangeRing[noted % ChangesMax] = change;
        Volatile.Write(ref Header->Noted, ((noted + 1) << NotedShift) | ((uint)MessagesNoted + (isMessage ? 1u : 0u)));
    }

    /// <summary>A fork was read; it has its own descriptor, which ends with this process.</summary>
    public void NoteFork() => Volatile.Write(ref Header->Untold, Header->Untold | ForkUntold);

    /// <summary>No fork is to be carried out any more.</summary>
    public void FinishForks() => Volatile.Write(ref Header->Untold, Header->Untold & ~ForkUntold);

    /// <summary>All that was in the messages is noted, and they are blank.</summary>
    public void ForgetMessages() => Volatile.Write(ref Header->Noted, NotedCount << NotedShift);

    /// <summary>Called when a cursor was written: between two stores of a move a pager can die, too, and calls nothing else.</summary>
    public Action? OnCursor { get; set; }

    /// <summary>The first of them is a move and has come to <paramref name="cursor"/>.</summary>
    public void NoteCursor(ulong cursor)
    {
        if (Header->Done != NotedCount)
        {
            Volatile.Write(ref ChangeRing[Header->Done % ChangesMax].Cursor, cursor);
            OnCursor?.Invoke();
        }
    }

    /// <summary>The first of them is carried out.</summary>
    public void FinishChange()
    {
        if (Header->Done != NotedCount)
        {
            Volatile.Write(ref Header->Done, Header->Done + 1);
        }
    }

    /// <summary>All of them are.</summary>
    public void FinishChanges()
    {
        if (Header->Done != NotedCount)
        {
            Volatile.Write(ref Header->Done, NotedCount);
        }

        if (Header->Untold != 0)
        {
            Volatile.Write(ref Header->Untold, 0);
        }
    }

    /// <summary>Where something was placed that an unmapping which is told yet may not be about.</summary>
    public void WritePlaced(ReadOnlySpan<AddressRange> placed)
    {
        // They have one more at the end, or are one that covers all of before: true after each store.
        for (int i = placed.Length > Header->PlacedCount ? Header->PlacedCount : 0; i < placed.Length; i++)
        {
            PlacedRanges[i] = placed[i];
        }

        Volatile.Write(ref Header->PlacedCount, placed.Length);
    }
}
