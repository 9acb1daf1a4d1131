using Hecatonchire.Eviction;
using Hecatonchire.Pages;

namespace Hecatonchire.Tests.Eviction;

/// <summary>
/// What each policy is to do, said again as simply as possible: lists of pages, the oldest first. An entry whose page has gone stays until
/// it comes up or is swept out, and takes a page that comes back meanwhile.
/// </summary>
internal abstract class PolicyModel(Func<PageId, PageState> stateOf)
{
    private readonly HashSet<PageId> _ghosts = [];
    private readonly List<PageId> _ghostOrder = [];

    public static PolicyModel Of(EvictionKind kind, Func<PageId, PageState> stateOf) => kind switch
    {
        EvictionKind.Fifo => new FifoModel(stateOf, []),
        EvictionKind.S3Fifo => new S3FifoModel(stateOf, [], [], []),
        EvictionKind.Sieve => new SieveModel(stateOf),
        _ => new BehindStreamModel(stateOf, [], []),
    };

    public long GhostsMax { get; set; }

    public IReadOnlySet<PageId> Ghosts => _ghosts;

    public abstract int Count { get; }

    protected bool IsRefused { get; private set; }

    public void Push(PageId id, PageArrival arrival)
    {
        if (!Contains(id))
        {
            IsRefused = arrival == PageArrival.Returned;
            Add(id, arrival, _ghosts.Remove(id));
        }
    }

    /// <summary>The next victim; none when no page is resident.</summary>
    public abstract PageId Pop();

    public void Forget(int segment)
    {
        Drop(id => id.Segment == segment || stateOf(id) != PageState.Resident);
        _ = _ghosts.RemoveWhere(id => id.Segment == segment || stateOf(id) == PageState.Untouched);
        _ = _ghostOrder.RemoveAll(id => !_ghosts.Contains(id));
    }

    protected abstract bool Contains(PageId id);

    protected abstract void Drop(Predicate<PageId> isGone);

    protected abstract void Add(PageId id, PageArrival arrival, bool wasGhost);

    protected bool IsResident(PageId id) => stateOf(id) == PageState.Resident;

    /// <summary>The oldest entry of a list, which may be one whose page has gone.</summary>
    protected static PageId Take(List<PageId> list)
    {
        PageId id = list[0];
        list.RemoveAt(0);
        return id;
    }

    protected void AddGhost(PageId id)
    {
        if (GhostsMax == 0)
        {
            return;
        }

        if (_ghostOrder.Count == GhostsMax)
        {
            _ = _ghosts.Remove(Take(_ghostOrder));
        }

        _ = _ghosts.Add(id);
        _ghostOrder.Add(id);
    }

    private abstract class ListsModel(Func<PageId, PageState> stateOf, params List<PageId>[] lists) : PolicyModel(stateOf)
    {
        public override int Count => lists.Sum(list => list.Count);

        protected override bool Contains(PageId id) => lists.Any(list => list.Contains(id));

        protected override void Drop(Predicate<PageId> isGone)
        {
            foreach (List<PageId> list in lists)
            {
                _ = list.RemoveAll(isGone);
            }
        }
    }

    private sealed class FifoModel(Func<PageId, PageState> stateOf, List<PageId> pages) : ListsModel(stateOf, pages)
    {
        public override PageId Pop()
        {
            while (pages.Count > 0)
            {
                PageId id = Take(pages);
                if (IsResident(id))
                {
                    return id;
                }
            }

            return default;
        }

        protected override void Add(PageId id, PageArrival arrival, bool wasGhost) => pages.Add(id);
    }

    private sealed class BehindStreamModel(Func<PageId, PageState> stateOf, List<PageId> stream, List<PageId> main)
        : ListsModel(stateOf, stream, main)
    {
        public override PageId Pop()
        {
            int kept = IsRefused ? 0 : Math.Min(1024, Count / 2);
            bool isStream = stream.Count > kept;
            while (isStream && stream.Count > 0)
            {
                PageId id = Take(stream);
                if (IsResident(id))
                {
                    return id;
                }
            }

            while (main.Count + stream.Count > 0)
            {
                PageId id = Take(main.Count > 0 ? main : stream);
                if (IsResident(id))
                {
                    return id;
                }
            }

            return default;
        }

        protected override void Add(PageId id, PageArrival arrival, bool wasGhost) => (arrival == PageArrival.Prefetch ? stream : main).Add(id);
    }

    private sealed class S3FifoModel(Func<PageId, PageState> stateOf, List<PageId> stream, List<PageId> small, List<PageId> main)
        : ListsModel(stateOf, stream, small, main)
    {
        private readonly HashSet<PageId> _leftMain = [];
        private readonly HashSet<PageId> _secondTime = [];
        private int _streamPages;

        public override PageId Pop()
        {
            while (Count > 0)
            {
                int kept = IsRefused ? 0 : Math.Min(Math.Min(1024, Count / 2) + _streamPages, Count - (Count / 10));
                int smallKept = IsRefused ? 0 : (small.Count + main.Count) / 10;
                List<PageId> from = stream.Count > kept || stream.Count == Count ? stream
                    : small.Count > smallKept || small.Count + stream.Count == Count ? small
                    : main;

                // Entries whose page has gone are passed over without asking again which queue it is to be.
                while (from.Count > 0)
                {
                    PageId id = Take(from);
                    if (!IsResident(id))
                    {
                        continue;
                    }

                    if (!IsRefused && _secondTime.Remove(id))
                    {
                        main.Add(id);
                        break;
                    }

                    _ = from == main ? _leftMain.Add(id) : _leftMain.Remove(id);
                    AddGhost(id);
                    return id;
                }
            }

            return default;
        }

        protected override void Add(PageId id, PageArrival arrival, bool wasGhost)
        {
            bool isProven = wasGhost && arrival == PageArrival.Demand;
            _streamPages = wasGhost && arrival == PageArrival.Prefetch ? Math.Min(_streamPages + 1, Count)
                : isProven ? Math.Max(_streamPages - 1, 0)
                : _streamPages;
            _ = isProven && _leftMain.Contains(id) ? _secondTime.Add(id) : _secondTime.Remove(id);
            (arrival == PageArrival.Prefetch ? stream : isProven || arrival is PageArrival.Recall or PageArrival.Returned ? main : small).Add(id);
        }
    }

    /// <summary>As in the paper: one list, and a hand in it.</summary>
    private sealed class SieveModel(Func<PageId, PageState> stateOf) : PolicyModel(stateOf)
    {
        private readonly List<PageId> _pages = [];
        private readonly HashSet<PageId> _visited = [];
        private int _hand;

        public override int Count => _pages.Count;

        public override PageId Pop()
        {
            while (_pages.Count > 0)
            {
                if (_hand == _pages.Count)
                {
                    _hand = 0;
                }

                PageId id = _pages[_hand];
                if (IsResident(id) && !IsRefused && _visited.Remove(id))
                {
                    _hand++;
                    continue;
                }

                _pages.RemoveAt(_hand);
                if (IsResident(id))
                {
                    AddGhost(id);
                    return id;
                }
            }

            return default;
        }

        protected override bool Contains(PageId id) => _pages.Contains(id);

        protected override void Drop(Predicate<PageId> isGone)
        {
            _hand -= _pages.Take(_hand).Count(id => isGone(id));
            _ = _pages.RemoveAll(isGone);
        }

        protected override void Add(PageId id, PageArrival arrival, bool wasGhost)
        {
            _ = (wasGhost && arrival == PageArrival.Demand) || arrival == PageArrival.Recall ? _visited.Add(id) : _visited.Remove(id);
            if (arrival == PageArrival.Returned)
            {
                // Just behind the hand, which has been here.
                _pages.Insert(_hand++, id);
            }
            else
            {
                _pages.Add(id);
            }
        }
    }
}
