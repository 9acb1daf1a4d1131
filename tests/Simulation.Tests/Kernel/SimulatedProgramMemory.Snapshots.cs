using System.Runtime.InteropServices;
using Hecatonchire.Install;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Kernel;

/// <content>
/// Copies of running pages: the first half of each is taken when the batch is posted and the second when its end is asked for, so that
/// whatever the program writes in between tears them. Who copies is one more thread that faults: on a page that is not there it stops, and goes on
/// when the pager has answered; on one that is unmapped the batch fails.
/// </content>
internal sealed unsafe partial class SimulatedProgramMemory
{
    private readonly byte* _snapshots = (byte*)NativeMemory.AllocZeroed(PageSnapshots.PagesMax << PageSize.Shift);
    private readonly int[] _snapshotPages = new int[PageSnapshots.PagesMax];
    private readonly ulong[] _snapshotHashes = new ulong[PageSnapshots.PagesMax];
    private int _snapshotCount;
    private int _snapshotAt;
    private int _snapshotPatience;

    /// <summary>Chance per million that a batch fails as a whole.</summary>
    public int SnapshotFailuresPerMillion { get; init; }

    public bool CanSnapshot { get; init; } = true;

    public byte* SnapshotData => _snapshots;

    public void PostSnapshot(ReadOnlySpan<ulong> addresses)
    {
        _snapshotCount = addresses.Length;
        _snapshotAt = 0;
        _snapshotPatience = _random.Next(4);
        for (int i = 0; i < addresses.Length; i++)
        {
            _snapshotPages[i] = PageOf(addresses[i]);
            CopyHalf(i, 0);
        }
    }

    public bool IsSnapshotDone(out int errno)
    {
        errno = 0;
        if (_snapshotPatience-- > 0)
        {
            return false;
        }

        for (; _snapshotAt < _snapshotCount; _snapshotAt++)
        {
            if (IsWaiting(_threads))
            {
                return false;
            }

            switch (Access(_threads, _snapshotPages[_snapshotAt], isWrite: false))
            {
                case Touch.Stopped:
                    return false;
                case not Touch.Done:
                    errno = Interop.Errno.EFAULT;
                    return true;
            }

            CopyHalf(_snapshotAt, PageSize.Bytes / 2);
            _snapshotHashes[_snapshotAt] = Hash.Compute(_snapshots + ((nint)_snapshotAt << PageSize.Shift));
        }

        errno = SnapshotFailuresPerMillion > 0 && _random.Next(1_000_000) < SnapshotFailuresPerMillion ? Interop.Errno.EFAULT : 0;
        return true;
    }

    public ulong SnapshotHash(int index) => _snapshotHashes[index];

    private void CopyHalf(int index, int offset)
    {
        byte* target = _snapshots + ((nint)index << PageSize.Shift) + offset;
        if (Exists(_pages[_snapshotPages[index]]))
        {
            Buffer.MemoryCopy(Data(_snapshotPages[index]) + offset, target, PageSize.Bytes / 2, PageSize.Bytes / 2);
        }
        else
        {
            new Span<byte>(target, PageSize.Bytes / 2).Fill((byte)_random.Next());
        }
    }
}
