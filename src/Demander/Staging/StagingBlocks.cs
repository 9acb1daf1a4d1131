using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Units;

namespace Hecatonchire.Staging;

/// <summary>What is to happen, or has happened, to a staged page.</summary>
internal enum StagedState : byte
{
    /// <summary>Nothing more: clean, zero, acknowledged, recalled before its write, or never moved.</summary>
    Done,

    /// <summary>The evictor has the command.</summary>
    Taking,

    /// <summary>Dirty; its WRITE has not been posted.</summary>
    ToWrite,

    /// <summary>Its WRITE is in flight.</summary>
    Writing,

    /// <summary>Recalled into the program while its WRITE was in flight: the slot is free once that is acknowledged.</summary>
    Orphan,
}

/// <summary>A page in staging; index = its page in the staging area.</summary>
internal struct StagedPage
{
    public PageId Id;
    public long Slot;
    public long FaultedAt;
    public StagedState State;
}

internal enum BlockState : byte
{
    Free,
    Taking,
    Writing,
    Recycling,
}

/// <summary>Up to 64 pages that leave together: taken by one batch of commands, recycled by one.</summary>
internal struct StagingBlock
{
    public BlockState State;

    /// <summary>Pages of the batch; they occupy the block from its start.</summary>
    public int Pages;

    /// <summary>TAKE commands the evictor has not answered.</summary>
    public int Commands;

    /// <summary>Pages that are not <see cref="StagedState.Done"/>.</summary>
    public int Pending;

    /// <summary>The first page that may still be <see cref="StagedState.ToWrite"/>.</summary>
    public int WriteCursor;

    /// <summary>Counted among the blocks that have WRITEs to post.</summary>
    public bool IsListed;

    /// <summary>Pages that really are in the program's staging area and count until they are recycled.</summary>
    public int Moved;

    /// <summary>Pages that had come into the program in all when this one's were to be written.</summary>
    public long InstalledBefore;
}

/// <summary>
/// The staging area, in blocks, and the pager's mirror of it: staging page i of the program is mirrored at page i here, for
/// answering faults on leaving pages and as the source of WRITEs.
/// </summary>
internal sealed unsafe class StagingBlocks : IDisposable
{
    public const int BlockPages = 64;

    private readonly StagingBlock[] _blocks;
    private readonly StagedPage[] _pages;
    private readonly byte* _mirror;
    private readonly nuint _bytes;
    private int _next;

    public StagingBlocks(int stagingPages)
    {
        Count = stagingPages / BlockPages;
        _blocks = new StagingBlock[Count];
        _pages = new StagedPage[Count * BlockPages];
        _bytes = (nuint)(Count * BlockPages) << PageSize.Shift;
        _mirror = NativeMemoryMap.Populate(_bytes);
        FreeBlocks = Count;
    }

    public int Count { get; }

    public int FreeBlocks { get; private set; }

    public ref StagingBlock Block(int index) => ref _blocks[index];

    public ref StagedPage Page(int stagingIndex) => ref _pages[stagingIndex];

    /// <summary>The whole mirror.</summary>
    public byte* MirrorMemory => _mirror;

    public nuint MirrorBytes => _bytes;

    public byte* Mirror(int stagingIndex) => _mirror + ((nint)stagingIndex << PageSize.Shift);

    /// <summary>A free block, now <see cref="BlockState.Taking"/>; -1 when all are in use.</summary>
    public int Acquire()
    {
        if (FreeBlocks == 0)
        {
            return -1;
        }

        while (_blocks[_next].State != BlockState.Free)
        {
            _next = (_next + 1) % Count;
        }

        int index = _next;
        _next = (_next + 1) % Count;
        FreeBlocks--;
        _blocks[index] = new StagingBlock { State = BlockState.Taking };
        return index;
    }

    /// <summary>A block of which another pager has left <paramref name="moved"/> pages in staging; before any is acquired.</summary>
    public ref StagingBlock Occupy(int index, int moved)
    {
        FreeBlocks--;
        _blocks[index] = new StagingBlock { State = BlockState.Writing, Pages = BlockPages, Moved = moved };
        return ref _blocks[index];
    }

    public void Release(int index)
    {
        _blocks[index].State = BlockState.Free;
        FreeBlocks++;
    }

    public void Dispose() => _ = Libc.Unmap(_mirror, _bytes);
}
