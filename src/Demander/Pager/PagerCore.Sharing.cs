using Hecatonchire.Eviction;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;

namespace Hecatonchire.Pager;

/// <summary>
/// Pages that parent and child have in common since a fork: the kernel moves none of them (EBUSY), nor what was one and has only one owner left. They
/// are made the program's alone, a batch at a time, by somebody who may wait for this pager, and then taken again.
/// </summary>
internal sealed unsafe partial class PagerCore
{
    private readonly PageId[] _shared = new PageId[PageSnapshots.PagesMax];
    private readonly ulong[] _sharedAddresses = new ulong[PageSnapshots.PagesMax];
    private int _sharedCount;
    private bool _isUnsharing;

    /// <summary>Pages that were made the program's alone since one could be taken.</summary>
    private long _unsharedInVain;

    /// <summary>Pages that may be there above the bound until the batch is done.</summary>
    public int UnshareReserve => _isUnsharing ? _sharedCount : 0;

    /// <summary>Until a batch is done others would most likely be refused as well.</summary>
    private bool WaitsForUnshared => _isUnsharing || _sharedCount > 0;

    private void NoteShared(PageId id, int errno)
    {
        if (errno == Errno.EBUSY && Captures && !_isUnsharing && _sharedCount < _shared.Length)
        {
            _shared[_sharedCount++] = id;
        }
    }

    /// <summary>
    /// Room for one page. One of the batch needs none: where the program has given it up meanwhile, who unshares waits for it, and room comes only of
    /// what can be moved when that has gone on.
    /// </summary>
    private bool TryReserveFor(PageId id)
    {
        if (TryReserve(1))
        {
            return true;
        }

        bool isAwaited = _isUnsharing && _shared.AsSpan(0, _sharedCount).Contains(id);
        _occupied += isAwaited ? 1 : 0;
        return isAwaited;
    }

    private bool StepUnshare()
    {
        if (_sharedCount == 0 || (_isUnsharing && !_program.IsUnshareDone))
        {
            return false;
        }

        if (!_isUnsharing)
        {
            // All of a batch of takes at once: as long as some are unanswered, more may be refused.
            if (_takesInFlight > 0 || IsChangePending)
            {
                return false;
            }

            int kept = 0;
            for (int i = 0; i < _sharedCount; i++)
            {
                if (IsResident(_shared[i]))
                {
                    _sharedAddresses[kept] = AddressOf(_shared[i]);
                    _shared[kept++] = _shared[i];
                }
            }

            (_sharedCount, _isUnsharing) = (kept, kept > 0);
            if (kept > 0)
            {
                _program.PostUnshare(_sharedAddresses.AsSpan(0, kept));
            }

            return true;
        }

        int count = 0;
        for (int i = 0; i < _sharedCount; i++)
        {
            if (IsResident(_shared[i]))
            {
                _victims[count++] = _shared[i];
            }
        }

        _unsharedInVain += _sharedCount;
        if (_unsharedInVain > 2 * (_queue.Count + _shared.Length) && _parked.Count > 0)
        {
            LiftForShared();
        }

        (_isUnsharing, _sharedCount) = (false, 0);
        if (count > 0 && !SponsorLost && !IsChangePending && !_isClosing && Room + _departing < HighWatermark && CanTakeOut)
        {
            SendAway(count);
        }

        return true;
    }

    private bool IsResident(PageId id) => _segments[id.Segment] is { } segment && segment.Entries[id.Page].State == PageState.Resident;
}
