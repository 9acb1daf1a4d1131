using System.Runtime.CompilerServices;

namespace Hecatonchire.Pages;

/// <summary>
/// One page's entry, 8 bytes, all zero for an untouched page so that a new table needs no initialisation:
/// bits 0-38 slot number + 1 (0: none), bit 39 protected, bits 40-55 an index whose meaning the state gives (staging page, held buffer),
/// bit 56 waiting, bits 57-59 the eviction policy's (queued, ghost, marked), bits 60-63 the state.
/// </summary>
internal struct PageEntry
{
    private const ulong SlotMask = (1UL << 39) - 1;
    private const int IndexShift = 40;
    private const ulong IndexMask = 0xFFFFUL << IndexShift;
    private const ulong WaitingBit = 1UL << 56;
    private const ulong QueuedBit = 1UL << 57;
    private const ulong GhostBit = 1UL << 58;
    private const ulong MarkedBit = 1UL << 59;
    private const ulong ProtectedBit = 1UL << 39;
    private const int StateShift = 60;
    private const ulong StateMask = 0xFUL << StateShift;

    /// <summary>The largest slot number an entry can hold: 2^39 - 2, 2 PiB.</summary>
    public const long SlotMax = (1L << 39) - 2;

    /// <summary>No slot.</summary>
    public const long NoSlot = -1;

    private ulong _bits;

    public readonly PageState State
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (PageState)(_bits >> StateShift);
    }

    /// <summary>The page's slot; <see cref="NoSlot"/> when it has none.</summary>
    public long Slot
    {
        readonly get => (long)(_bits & SlotMask) - 1;
        set => _bits = (_bits & ~SlotMask) | ((ulong)(value + 1) & SlotMask);
    }

    public int Index
    {
        readonly get => (int)((_bits & IndexMask) >> IndexShift);
        set => _bits = (_bits & ~IndexMask) | ((ulong)(ushort)value << IndexShift);
    }

    /// <summary>A thread waits for this page and no completion in flight will wake it by itself.</summary>
    public bool IsWaiting
    {
        readonly get => (_bits & WaitingBit) != 0;
        set => _bits = value ? _bits | WaitingBit : _bits & ~WaitingBit;
    }

    /// <summary>The eviction queue holds this page.</summary>
    public bool IsQueued
    {
        readonly get => (_bits & QueuedBit) != 0;
        set => _bits = value ? _bits | QueuedBit : _bits & ~QueuedBit;
    }

    /// <summary>The page was evicted lately; see <see cref="Eviction.GhostQueue"/>.</summary>
    public bool IsGhost
    {
        readonly get => (_bits & GhostBit) != 0;
        set => _bits = value ? _bits | GhostBit : _bits & ~GhostBit;
    }

    /// <summary>A mark of the eviction policy, which says what it means.</summary>
    public bool IsMarked
    {
        readonly get => (_bits & MarkedBit) != 0;
        set => _bits = value ? _bits | MarkedBit : _bits & ~MarkedBit;
    }

    /// <summary>
    /// The page was installed write-protected from its slot and no write has been let through since: the slot holds what the
    /// program sees. Means something only while it is resident.
    /// </summary>
    public bool IsProtected
    {
        readonly get => (_bits & ProtectedBit) != 0;
        set => _bits = value ? _bits | ProtectedBit : _bits & ~ProtectedBit;
    }

    /// <summary>Moves to the next state. An event that must not happen here ends the pager: the page table is wrong.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Apply(PageEvent happened)
    {
        PageState next = PageTransitions.Next(State, happened);
        if (next == PageTransitions.Impossible)
        {
            PageTableCorrupt(State, happened);
        }

        _bits = (_bits & ~StateMask) | ((ulong)next << StateShift);
    }

    /// <summary>
    /// The page has a new address: all that is known of it goes to that one's entry, which must be untouched. What belongs to a place in
    /// the eviction queues stays with the place; nobody waits here any more.
    /// </summary>
    public void MoveTo(ref PageEntry target)
    {
        const ulong OfPlace = QueuedBit | GhostBit | MarkedBit;

        // In this order: it is at both places for a moment, not at none.
        Volatile.Write(ref target._bits, (_bits & ~(OfPlace | WaitingBit)) | (target._bits & OfPlace));
        Volatile.Write(ref _bits, _bits & OfPlace);
    }

    /// <summary>What another pager's table says, and the kernel, as if it had come about here.</summary>
    public void Restore(PageState state, long slot, int index)
    {
        _bits = (ulong)state << StateShift;
        Slot = slot;
        Index = index;
    }

    /// <summary>What is known of the page holds for the same page of a forked child, whose entry is blank: state and slot, no more.</summary>
    public readonly void CopyTo(ref PageEntry child) => child._bits = _bits & (StateMask | SlotMask);

    private static void PageTableCorrupt(PageState state, PageEvent happened) =>
        Environment.FailFast($"page table corrupt: {happened} in state {state}");
}
