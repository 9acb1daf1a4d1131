using System.Runtime.InteropServices;

namespace Hecatonchire.Install;

/// <summary>One fault of the program, or a change of its address space, as userfaultfd tells it.</summary>
internal readonly struct FaultEvent
{
    public FaultEvent(ulong address, FaultKind kind, int thread) => (Address, Kind, Thread) = (address, kind, thread);

    public FaultEvent(FaultKind change, ulong address, ulong end, ulong target) => (Kind, Address, End, Target) = (change, address, end, target);

    /// <summary>The faulting address, aligned down to its page; of a change, where its range starts.</summary>
    public readonly ulong Address;

    public readonly FaultKind Kind;

    /// <summary>The faulting thread's id; 0 when the kernel does not say.</summary>
    public readonly int Thread;

    /// <summary>Of a change, where its range ends.</summary>
    public readonly ulong End;

    /// <summary>Of <see cref="FaultKind.Remapped"/>, the new address; of <see cref="FaultKind.Forked"/>, the child's userfaultfd.</summary>
    public readonly ulong Target;

    public bool IsChange => Kind >= FaultKind.Removed;
}

internal enum FaultKind : byte
{
    Read,
    Write,

    /// <summary>A write to a page that is there but write-protected.</summary>
    WriteProtected,

    /// <summary>madvise(DONTNEED, FREE): the kernel drops the pages now, after this was read. The range stays the pager's.</summary>
    Removed,

    /// <summary>munmap: the range is gone; another mapping may be there.</summary>
    Unmapped,

    /// <summary>mremap: the pages, and the faults on them, are at another address. Where the old one is unmapped, that follows.</summary>
    Remapped,

    /// <summary>fork: a child has all that the program had at a moment before this was read and after all that was read before the fork was acknowledged.</summary>
    Forked,

    /// <summary>Not told by the kernel: the pager itself has taken the range over, with the pages that are there.</summary>
    Captured,
}

/// <summary>[Start, End) of a program's addresses, whole pages.</summary>
internal readonly record struct AddressRange(ulong Start, ulong End)
{
    public long Pages => (long)((End - Start) >> Units.PageSize.Shift);
}

/// <summary>How <see cref="IProgramMemory.Copy"/> places pages; the values are the kernel's.</summary>
[Flags]
internal enum CopyMode : ulong
{
    None = 0,

    /// <summary>UFFDIO_COPY_MODE_DONTWAKE: who waits for the pages is woken later, with others.</summary>
    LeaveAsleep = 1,

    /// <summary>UFFDIO_COPY_MODE_WP: the first write is a fault.</summary>
    WriteProtect = 2,
}

/// <summary>The evictor's answer to one command, in the order of the commands.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct EvictorCompletion
{
    public ulong Cookie;

    /// <summary>0 or -errno of what stopped it.</summary>
    public int Status;

    /// <summary>The leading pages that were done.</summary>
    public uint Pages;
}

/// <summary>
/// The program's memory as the pager sees it: faults come out of it, pages go into it, and the evictor thread inside
/// the program takes pages out of it. The kernel's implementation is <see cref="KernelProgramMemory"/>; the simulation has
/// one that models the kernel's rules. No call blocks, allocates or throws. Results are 0 or an errno.
/// </summary>
internal unsafe interface IProgramMemory
{
    /// <summary>
    /// Takes waiting faults, and changes in the order in which they happened. Returns how many; -errno when the descriptor is unusable. Once a
    /// change of a place (unmapped, remapped, forked) is taken, the evictor answers every TAKE ordered before with EAGAIN.
    /// </summary>
    int ReadFaults(Span<FaultEvent> faults);

    /// <summary>The changes among what was read are noted where they outlive this pager.</summary>
    void ForgetFaults();

    /// <summary>
    /// True when the program's changes of its address space are told. Then Copy, ZeroPage, Poison and TAKE fail with EAGAIN from the moment of a change
    /// until it is read, and with ENOENT where nothing of the pager's is mapped any more.
    /// </summary>
    bool TellsChanges { get; }

    /// <summary>From now on the program has memory that it can lose with its pager, and that a forked child must have served.</summary>
    void NoteCaptured();

    /// <summary>
    /// True once, where a fork begins (<paramref name="begins"/>) or has ended: what was read of changes until now was before the fork. The program
    /// forks only after this has been asked.
    /// </summary>
    bool AcknowledgeFork(out bool begins);

    /// <summary>
    /// UFFDIO_COPY of <paramref name="pages"/> pages and, unless told not to, a wake. <paramref name="copied"/> pages were
    /// placed; EEXIST: the page after those is there already.
    /// </summary>
    int Copy(ulong address, byte* source, int pages, CopyMode mode, out int copied);

    /// <summary>UFFDIO_ZEROPAGE of one page and a wake. EEXIST: a page is there.</summary>
    int ZeroPage(ulong address);

    /// <summary>UFFDIO_POISON of one page and a wake: the next touch raises SIGBUS. ENOSYS on kernels before 6.6.</summary>
    int Poison(ulong address);

    int Wake(ulong address, long pages);

    /// <summary>
    /// UFFDIO_REGISTER: from now on a missing page of the range is a fault. Again is nothing. EINVAL, ENOMEM: not (all) private anonymous memory;
    /// EBUSY: another userfaultfd's.
    /// </summary>
    int Register(ulong address, long pages);

    /// <summary>
    /// Whether pages are in a registered mapping: 0 when all are in one, ENOENT when not, EAGAIN while a change is unread. Costs a
    /// system call; works with <see cref="TellsChanges"/> only.
    /// </summary>
    int FindRegistered(ulong address, long pages = 1);

    /// <summary>
    /// The pages of the range that are there, in runs and in their order. Returns how many runs, -errno where the kernel does not tell; when
    /// <paramref name="found"/> is full there may be more behind the last.
    /// </summary>
    int FindPresent(ulong address, long pages, Span<AddressRange> found);

    /// <summary>As <see cref="FindPresent"/>, of pages in staging; addresses count from its start.</summary>
    int FindStaged(int first, int pages, Span<AddressRange> found);

    /// <summary>Lifts a write-protection and wakes.</summary>
    int Unprotect(ulong address, int pages);

    /// <summary>Copies staging pages [index, index + pages) of the program into <paramref name="target"/>.</summary>
    int ReadStaging(int index, int pages, byte* target);

    /// <summary>The <see cref="WriteBack.PageHash"/> of a staging page that a completed TAKE filled.</summary>
    ulong StagedHash(int index);

    /// <summary>True when pages can be copied out of the running program.</summary>
    bool CanSnapshot { get; }

    /// <summary>
    /// Has up to <see cref="PageSnapshots.PagesMax"/> pages copied and hashed, by somebody who may wait for this very pager. The program may
    /// change them meanwhile; of one that is not there, anything may be copied. One batch at a time.
    /// </summary>
    void PostSnapshot(ReadOnlySpan<ulong> addresses);

    /// <summary>True when the batch is done; with an errno, nothing of it counts.</summary>
    bool IsSnapshotDone(out int errno);

    /// <summary>The copies of the batch, until the next is posted.</summary>
    byte* SnapshotData { get; }

    ulong SnapshotHash(int index);

    /// <summary>
    /// Has up to <see cref="PageSnapshots.PagesMax"/> pages, shared with another process since a fork, made the program's alone, by somebody who may
    /// wait for this very pager: only those can be moved. One batch at a time.
    /// </summary>
    void PostUnshare(ReadOnlySpan<ulong> addresses);

    /// <summary>True when the batch is done, whatever became of its pages.</summary>
    bool IsUnshareDone { get; }

    /// <summary>False as long as a forked child has no evictor of its own: nothing can leave it.</summary>
    bool HasEvictor { get; }

    /// <summary>How many more commands the evictor can be given.</summary>
    int FreeCommands { get; }

    /// <summary>True when pages can be installed write-protected.</summary>
    bool CanProtect { get; }

    /// <summary>True when TAKE copies before it drops, so that for a moment both copies count.</summary>
    bool TakeCopies { get; }

    /// <summary>Orders pages from <paramref name="address"/> on into staging from <paramref name="stagingIndex"/> on.</summary>
    void PostTake(ulong address, int pages, int stagingIndex, ulong cookie);

    /// <summary>Orders staging pages back to the kernel.</summary>
    void PostRecycle(int stagingIndex, int pages, ulong cookie);

    /// <summary>Orders pages of the program dropped.</summary>
    void PostDrop(ulong address, int pages, ulong cookie);

    /// <summary>True when the program's evictor can change the length of a segment.</summary>
    bool CanResize { get; }

    /// <summary>
    /// Orders the segment at <paramref name="address"/> made so many pages long, all of it or nothing. What goes raises SIGSEGV from then on, and who waits there is woken.
    /// EAGAIN: the program is in a call of its own; ENOMEM: it has no room for that.
    /// </summary>
    void PostResize(ulong address, long pages, ulong cookie);

    /// <summary>Publishes posted commands and wakes the evictor where it sleeps.</summary>
    void SubmitCommands();

    int PollCompletions(Span<EvictorCompletion> completions);
}
