using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>Its segments: asked for by the program, one thread at a time, and looked at and changed from outside of it.</summary>
internal sealed unsafe partial class PagerSession
{
    /// <summary>How long a program may be in a call of its own before who wants to change a segment from outside is told so.</summary>
    private const long BusyMsMax = 5000;

    /// <summary>Between two tries.</summary>
    private static readonly TimeSpan BusyPause = TimeSpan.FromMilliseconds(2);

    /// <summary>Held while slots are got, and the segment that they are for is changed.</summary>
    private readonly Lock _segmentsGate = new();
    private readonly Dictionary<ulong, (Guid Id, long Pages, long ReservePages)> _segments = [];
    private bool _isEnding;

    private long PagesOfAll => _segments.Values.Sum(segment => segment.Pages);

    /// <summary>
    /// Adds a segment. Room for every page of it is had from the sponsor first, so a sponsor that is full refuses
    /// here, before any data is at risk. Returns 0 or -errno.
    /// </summary>
    public int Allocate(ulong address, ulong bytes, ulong reserveBytes)
    {
        lock (_segmentsGate)
        {
            long pages = (long)(bytes >> PageSize.Shift);
            if (_segments.TryGetValue(address, out (Guid Id, long Pages, long ReservePages) known) && known.Pages == pages)
            {
                // The last pager had added it and died before it could say so.
                return 0;
            }

            int status = _family.Pool.EnsureSlots(PagesOfAll + pages);
            if (status != 0)
            {
                return status;
            }

            var identity = new SegmentIdentity { Id = Guid.NewGuid(), ReservePages = (long)(reserveBytes >> PageSize.Shift) };
            status = Execute(new PagerRequest(PagerRequestKind.Allocate) { Address = address, Pages = pages, Identity = identity });
            if (status == 0)
            {
                _segments[address] = (identity.Id, pages, identity.ReservePages);
            }

            return status;
        }
    }

    public int Free(ulong address)
    {
        lock (_segmentsGate)
        {
            int status = Execute(new PagerRequest(PagerRequestKind.Free) { Address = address });
            if (status == 0)
            {
                _ = _segments.Remove(address);
            }

            _family.Pool.ReturnIdle(PagesOfAll);
            return status;
        }
    }

    public int Resize(ulong address, ulong bytes)
    {
        lock (_segmentsGate)
        {
            long pages = (long)(bytes >> PageSize.Shift);
            return _segments.ContainsKey(address) && pages != 0
                ? Resize(address, pages, new PagerRequest(PagerRequestKind.Resize) { Address = address, Pages = pages })
                : -Errno.EINVAL;
        }
    }

    /// <summary>
    /// Changes the length of a segment while the program uses it. 0 or -errno: ENOENT: there is none of that id; EOPNOTSUPP: it is none that the program asked for, or the program's libheca cannot;
    /// ENOMEM: beyond its reserve; ENOSPC: sponsors are full; ENOTEMPTY: pages that would go have been touched, and may not be dropped; EINVAL: it is shorter or longer than was thought; EAGAIN: the program stays in a
    /// call of its own; ESRCH: it has ended.
    /// </summary>
    public int ResizeFromOutside(Guid id, long bytes, SegmentChange change)
    {
        long pages = bytes > long.MaxValue - PageSize.Bytes ? 0 : (bytes + PageSize.Bytes - 1) >> PageSize.Shift;
        for (long end = Environment.TickCount64 + BusyMsMax; ;)
        {
            int status;
            lock (_segmentsGate)
            {
                ulong? address = null;
                foreach ((ulong start, (Guid known, _, _)) in _segments)
                {
                    address = known == id ? start : address;
                }

                status = _isEnding || !_isServed ? -Errno.ESRCH
                    : pages <= 0 ? -Errno.EINVAL
                    : address is null ? -Errno.ENOENT
                    : (change == SegmentChange.Grow) != (pages > _segments[address.Value].Pages) && pages != _segments[address.Value].Pages ? -Errno.EINVAL
                    : _segments[address.Value].ReservePages is var most and > 0 && pages > most ? -Errno.ENOMEM
                    : Resize(address.Value, pages, new PagerRequest(PagerRequestKind.ResizeFromOutside)
                    {
                        Pages = pages,
                        Identity = new SegmentIdentity { Id = id },
                        MayDrop = change == SegmentChange.Drop,
                    });
            }

            if (status != -Errno.EAGAIN)
            {
                return status;
            }

            if (Environment.TickCount64 > end)
            {
                lock (_segmentsGate)
                {
                    _family.Pool.ReturnIdle(PagesOfAll);
                }

                return status;
            }

            // The program's call may wait for the gate that was just let go.
            Thread.Sleep(BusyPause);
        }
    }

    /// <summary>All segments, captured ones included, and where their pages are.</summary>
    /// <param name="cells">Filled with where in the first of them the pages are; null: that is not wanted.</param>
    public IReadOnlyList<SegmentFigures> Survey(SegmentCells? cells = null)
    {
        lock (_segmentsGate)
        {
            var request = new PagerRequest(PagerRequestKind.Survey) { Figures = new SegmentFigures[SegmentTable.Capacity], Cells = cells };
            return !_isEnding && _isServed && Execute(request) == 0 ? request.Figures.AsSpan(0, request.Found).ToArray() : [];
        }
    }

    /// <summary>The program is gone: nobody looks at its segments any more, and who does now is not waited for by what has ended.</summary>
    private void EndLooks()
    {
        if (!_segmentsGate.TryEnter())
        {
            _family.RunOn(Core.NoteProgramGone);
            _segmentsGate.Enter();
        }

        _isEnding = true;
        _segmentsGate.Exit();
    }

    private int Resize(ulong address, long pages, PagerRequest request)
    {
        (Guid id, long before, long reserve) = _segments[address];
        int status = pages > before ? _family.Pool.EnsureSlots(PagesOfAll + pages - before) : 0;
        if (status == 0)
        {
            status = Execute(request);
        }
        else
        {
            request.Dispose();
        }

        if (status == 0)
        {
            _segments[address] = (id, pages, reserve);
        }

        // What is tried again needs the slots again.
        if (status != -Errno.EAGAIN)
        {
            _family.Pool.ReturnIdle(PagesOfAll);
        }

        return status;
    }

    /// <summary>Before the pager thread serves it: what another pager has left.</summary>
    private void NoteSegmentsLeft()
    {
        for (Segment? segment = Core.Segments.FindFrom(0); segment is not null; segment = Core.Segments.FindFrom(segment.End))
        {
            _segments[segment.Address] = (segment.Identity.Id, segment.Pages, segment.Identity.ReservePages);
        }
    }
}
