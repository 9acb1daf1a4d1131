using Hecatonchire.Handover;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Pressure;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>A process that the pager thread serves: its core, and what of it can end the thread's sleep.</summary>
internal sealed class PagerMember(PagerCore core, KernelProgramMemory memory)
{
    /// <summary>
    /// The longest sleep while pages are on their way out. Nobody waits for them, so that the evictor's answers are worth no wake-up
    /// each: faults come first, and find them.
    /// </summary>
    private const int SleepMsEvicting = 1;

    /// <summary>A program that has not faulted for this long is computing: its pages are cleaned meanwhile.</summary>
    public const int QuietMs = 10;

    /// <summary>The longest sleep: how stale the published pressure may get on an idle program.</summary>
    public const int SleepMsMax = 1000;

    /// <summary>
    /// Within this of the cgroup's limit the usage is read anew every <see cref="FaultsPerRefresh"/> faults (1.1 us each), and whenever so
    /// much has come: a fault of a new page fills 64 at once.
    /// </summary>
    private const long RefreshBelowBytes = 8L << 20;

    private const long FaultsPerRefresh = 64;
    private const long GrowthPerRefreshBytes = 1L << 20;

    private long _refreshedAt;
    private long _refreshedResident;
    private bool _stopTold;
    private bool _hasEnded;

    public PagerCore Core => core;

    public KernelProgramMemory Memory => memory;

    /// <summary>Of a forked child: where its page tables are, if they outlive this pager. Its session's, or who ends it without one, to dispose.</summary>
    public PageTableFile? Tables { get; init; }

    // Of a forked child all of these come with its HELLO.
    public CommandRing? Ring { get; set; }

    public int CompletionsEvent { get; set; } = -1;

    /// <summary>Its end only is of interest. The thread that reads it may be waiting for the pager, for an evictor that is gone with the program.</summary>
    public int Socket { get; set; } = -1;

    public PressureMonitor? Pressure { get; set; }

    public CorePlacement? Placement { get; set; }

    /// <summary>Readable when a batch of pages to clean is copied; -1: there is no cleaning.</summary>
    public int SnapshotDone { get; set; } = -1;

    /// <summary>Readable when a batch of pages is the program's alone; -1 where its memory is not captured.</summary>
    public int UnshareDone { get; set; } = -1;

    /// <summary>Called on the pager thread once the program must be stopped; false where its process is not known.</summary>
    public Func<bool>? OnMustStop { get; set; }

    /// <summary>Called on the pager thread when nothing more is under way for a program that is gone.</summary>
    public Action? OnRemoved { get; set; }

    public bool IsGone { get; set; }

    /// <summary>Of a forked child: the thread of its first fault is its process here.</summary>
    public bool IsProcessKnown { get; set; }

    /// <summary>True where who waits for its end can end the connections too.</summary>
    public bool MayEndUndrained { get; set; }

    /// <summary>True when requests may still be under way for it: it was the last.</summary>
    public bool EndsUndrained { get; set; }

    /// <summary>
    /// True once nothing can read zeros when the userfaultfd is closed: a program that must be stopped has been, or has ended by itself. Of a child that has
    /// not said HELLO the process is known by its first fault only.
    /// </summary>
    public bool CanBeClosed => !core.MustStopProgram || _stopTold || _hasEnded;

    public IEnumerable<(int Descriptor, uint Events)> Watched => new (int Descriptor, uint Events)[]
    {
        (memory.Descriptor, Libc.EPOLLIN), (CompletionsEvent, Libc.EPOLLIN), (Socket, Libc.EPOLLRDHUP), (SnapshotDone, Libc.EPOLLIN), (UnshareDone, Libc.EPOLLIN),
        (Pressure?.WaitDescriptor ?? -1, Libc.EPOLLIN),
    }.Where(watched => watched.Item1 >= 0);

    public void ApplyPressure()
    {
        if (Pressure is not null)
        {
            long resident = core.InProgramBytes;
            long allowed = Pressure.AllowedResidentBytes(resident);
            if (allowed - resident < RefreshBelowBytes
                && (core.Counters.Faults - _refreshedAt >= FaultsPerRefresh || resident - _refreshedResident >= GrowthPerRefreshBytes))
            {
                // Close to the limit the program's own growth must be seen before the next notification.
                _refreshedAt = core.Counters.Faults;
                _refreshedResident = resident;
                _ = Pressure.Refresh(resident);
                allowed = Pressure.AllowedResidentBytes(resident);
            }

            core.LimitByPressure(allowed);
        }
    }

    /// <summary>True while the pager thread is on the core of the program's only faulting thread.</summary>
    public bool FollowsCore(bool isAlone) => Placement?.Follow(core.LastFaultThread, core.Counters, isAlone) == true;

    /// <summary>After each round.</summary>
    public void NoteRound()
    {
        if (Ring is { IsBroken: true })
        {
            core.NoteBrokenRing();
        }

        if (core.MustStopProgram && !_stopTold && (Ring is not null || core.FirstFaultThread != 0))
        {
            _stopTold = OnMustStop?.Invoke() == true;
        }
    }

    /// <summary>How long the thread may sleep, in milliseconds; 0 when there is something to do.</summary>
    public int PrepareToSleep()
    {
        // Of a child that has not said HELLO nothing else tells its end.
        if (Socket < 0 && memory.FindRegistered(PageSize.Bytes) == Errno.ESRCH)
        {
            _hasEnded = true;
            core.NoteProgramGone();
        }

        if (IsGone)
        {
            return SleepMsMax;
        }

        bool wakesByEvictor = core.IsEvictorAwaited || !core.IsEvicting;
        if (wakesByEvictor && Ring is not null && !Ring.TrySleep())
        {
            return 0;
        }

        return !wakesByEvictor ? SleepMsEvicting : core.MayClean ? QuietMs : SleepMsMax;
    }

    /// <summary>The thread has slept; with <paramref name="isQuiet"/>, for long.</summary>
    public void WakeUp(bool isQuiet)
    {
        core.Trace?.NoteAwake();
        Ring?.WakeUp();
        if (isQuiet)
        {
            core.NoteQuiet();
        }
    }

    /// <summary>A descriptor is ready. False when it is none of this process's.</summary>
    public unsafe bool Acknowledge(int descriptor)
    {
        if (descriptor == CompletionsEvent || descriptor == SnapshotDone || descriptor == UnshareDone)
        {
            ulong drained;
            _ = Libc.Read(descriptor, &drained, sizeof(ulong));
        }
        else if (descriptor == Socket)
        {
            core.NoteProgramGone();
        }
        else if (Pressure is not null && descriptor == Pressure.WaitDescriptor)
        {
            Pressure.Acknowledge();
            _ = Pressure.Refresh(core.InProgramBytes);
        }
        else
        {
            return false;
        }

        return true;
    }
}
