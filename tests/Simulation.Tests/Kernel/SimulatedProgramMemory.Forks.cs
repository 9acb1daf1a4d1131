using Hecatonchire.Install;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Kernel;

/// <content>
/// fork: announced, acknowledged, done, told (later than other threads' changes, as it happens), left when the pager has acknowledged that too. Pages that
/// are there are both processes' until either writes them; the kernel moves none of them.
/// </content>
internal sealed unsafe partial class SimulatedProgramMemory
{
    private readonly bool[] _isShared;
    private uint _forkAsked;
    private uint _forkAcknowledged;
    private bool _forkIsUntold;
    private int _unshareAt;
    private int _unshareCount;
    private int _unsharePatience;
    private readonly int[] _unsharePages = new int[PageSnapshots.PagesMax];

    public bool HasEvictor { get; set; } = true;

    public void NoteCaptured()
    {
    }

    /// <summary>The program goes on into its fork, or out of it.</summary>
    public bool IsForkAcknowledged => _forkAcknowledged == _forkAsked;

    public bool IsForkUnread => _forkIsUntold || _changes.Any(change => change.Kind == FaultKind.Forked);

    /// <summary>The program begins a fork, or is through with one.</summary>
    public void AskFork() => _forkAsked++;

    public bool AcknowledgeFork(out bool begins)
    {
        begins = (_forkAsked & 1) != 0;
        bool isNew = _forkAsked != _forkAcknowledged;
        _forkAcknowledged = _forkAsked;
        return isNew;
    }

    /// <summary>The child's memory. Its fork is told by <see cref="TellFork"/>.</summary>
    public SimulatedProgramMemory Fork(int threads, int seed)
    {
        var child = new SimulatedProgramMemory(Pages, _stagedFrom.Length, threads, TakeCopies, seed)
        {
            BusyPerMillion = BusyPerMillion,
            CanProtect = CanProtect,
            TellsChanges = TellsChanges,
            CanSnapshot = false,
            Hash = Hash,
            HasEvictor = false,
        };
        Array.Copy(_pages, child._pages, Pages);
        Array.Copy(_unadopted, child._unadopted, Pages);
        Buffer.MemoryCopy(_memory, child._memory, (long)Pages << PageSize.Shift, (long)Pages << PageSize.Shift);
        for (int page = 0; page < Pages; page++)
        {
            if (Exists(_pages[page]))
            {
                child.InProgram++;
                child.Unadopted += _unadopted[page] ? 1 : 0;
                _isShared[page] = child._isShared[page] = true;
            }
        }

        // What the pager was told to be dropped, and is not yet, the child keeps: the pager does not count it.
        (child._zap, child._zapIsTold) = (_zap, _zapIsTold);
        _forkIsUntold = true;
        return child;
    }

    public void TellFork()
    {
        _forkIsUntold = false;
        _changes.Enqueue(new FaultEvent(FaultKind.Forked, 0, 0, 0));
    }

    public void PostUnshare(ReadOnlySpan<ulong> addresses)
    {
        (_unshareAt, _unshareCount, _unsharePatience) = (0, addresses.Length, _random.Next(4));
        for (int i = 0; i < addresses.Length; i++)
        {
            _unsharePages[i] = PageOf(addresses[i]);
        }
    }

    public bool IsUnshareDone
    {
        get
        {
            if (_unsharePatience-- > 0)
            {
                return false;
            }

            for (; _unshareAt < _unshareCount; _unshareAt++)
            {
                int page = _unsharePages[_unshareAt];
                if (IsWaiting(_threads + 1))
                {
                    return false;
                }

                // Who writes there, writes nothing: only of a page that is there it becomes the program's alone.
                if (_pages[page] == KernelPage.Missing && Access(_threads + 1, page, isWrite: true) == Touch.Stopped)
                {
                    return false;
                }

                _isShared[page] = false;
            }

            return true;
        }
    }
}
