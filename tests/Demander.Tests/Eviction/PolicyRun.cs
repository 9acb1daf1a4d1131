using Hecatonchire.Eviction;
using Hecatonchire.Pages;
using Xunit;

namespace Hecatonchire.Tests.Eviction;

/// <summary>A policy beside its model, both told of the same pages, which come, go and come back at random.</summary>
internal sealed unsafe class PolicyRun : IDisposable
{
    private const int SegmentPages = 1500;
    private const int Resident = 1000;

    private readonly Random _random;
    private readonly SegmentTable _segments = new();
    private readonly Segment[] _known = new Segment[2];
    private readonly EvictionPolicy _policy;
    private readonly PolicyModel _model;
    private int _resident;

    public PolicyRun(EvictionKind kind, int seed)
    {
        _random = new Random(seed);
        _policy = kind.Create(_segments);
        _policy.EnsureCapacity(Resident, 2 * SegmentPages);

        // An eighth of all pages.
        _model = PolicyModel.Of(kind, StateOf);
        _model.GhostsMax = kind is EvictionKind.S3Fifo or EvictionKind.Sieve ? 2 * SegmentPages / 8 : 0;
        AddSegment(0);
        AddSegment(1);
    }

    public int Refaults { get; private set; }

    public void Dispose()
    {
        _policy.Dispose();
        _segments.Dispose();
    }

    public void Step()
    {
        // Some pages are touched far more often than others.
        int place = _random.Next(2);
        var id = new PageId(_known[place].Number, (long)_random.Next(SegmentPages) * _random.Next(SegmentPages) / SegmentPages);
        switch (_random.Next(12))
        {
            case 0:
                GoByOtherWays(id);
                break;
            case 1 when _random.Next(50) == 0:
                _policy.Sweep();
                _model.Forget(-1);
                break;
            case 1 when _random.Next(500) == 0:
                ReplaceSegment(place);
                break;
            case 1 when _random.Next(500) == 0:
                _policy.EnsureCapacity(Resident, 2 * SegmentPages);
                break;
            case 2 or 3 or 4:
                Evict();
                break;
            default:
                Come(id);
                break;
        }

        while (_resident > Resident)
        {
            Evict();
        }

        Assert.Equal(_model.Count, _policy.Count);
    }

    /// <summary>Every page that is resident comes up exactly once.</summary>
    public void Drain()
    {
        CheckGhosts();
        for (int left = _resident; left > 0; left--)
        {
            Evict(isReturned: false);
        }

        Assert.False(_policy.TryPop(out _));
        Assert.Equal(0, _policy.Count);
        Assert.All(_known, segment =>
        {
            for (int page = 0; page < SegmentPages; page++)
            {
                Assert.False(segment.Entries[page].IsQueued || segment.Entries[page].State == PageState.Resident);
            }
        });
    }

    public void CheckGhosts()
    {
        foreach (Segment segment in _known)
        {
            for (int page = 0; page < SegmentPages; page++)
            {
                Assert.Equal(_model.Ghosts.Contains(new PageId(segment.Number, page)), segment.Entries[page].IsGhost);
            }
        }
    }

    private PageState StateOf(PageId id) => Entry(id).State;

    private ref PageEntry Entry(PageId id) => ref _segments[id.Segment].Entries[id.Page];

    private void Come(PageId id)
    {
        ref PageEntry entry = ref Entry(id);
        bool isPrefetch = _random.Next(3) == 0;
        switch (entry.State)
        {
            case PageState.Untouched:
                entry.Apply(PageEvent.ZeroFill);
                Push(id, isPrefetch ? PageArrival.Prefetch : PageArrival.ZeroFill);
                break;
            case PageState.Remote:
                Refaults += !isPrefetch && entry.IsGhost ? 1 : 0;
                entry.Apply(PageEvent.FetchStart);
                entry.Apply(PageEvent.FetchDone);
                Push(id, isPrefetch ? PageArrival.Prefetch : PageArrival.Demand);
                break;
            case PageState.Leaving:
                entry.Apply(PageEvent.Recall);
                Push(id, PageArrival.Recall);
                break;
        }
    }

    private void Push(PageId id, PageArrival arrival)
    {
        _resident++;
        _model.Push(id, arrival);
        _policy.Push(id, ref Entry(id), arrival);
    }

    private void Evict() => Evict(_random.Next(10) == 0);

    private void Evict(bool isReturned)
    {
        PageId expected = _model.Pop();
        Assert.Equal(!expected.IsNone, _policy.TryPop(out PageId victim));
        Assert.Equal(expected, victim);
        if (expected.IsNone)
        {
            return;
        }

        ref PageEntry entry = ref Entry(victim);
        Assert.False(entry.IsQueued);
        entry.Apply(PageEvent.TakeStart);
        _resident--;
        if (isReturned)
        {
            entry.Apply(PageEvent.TakeBusy);
            Push(victim, PageArrival.Returned);
            return;
        }

        entry.Apply(PageEvent.TakeDone);
        if (_random.Next(4) != 0)
        {
            entry.Apply(PageEvent.LeaveClean);
        }
    }

    /// <summary>Leaves, ends its leaving, or is given up, without the policy being asked.</summary>
    private void GoByOtherWays(PageId id)
    {
        ref PageEntry entry = ref Entry(id);
        switch (entry.State)
        {
            case PageState.Resident when _random.Next(2) == 0:
                entry.Apply(PageEvent.DropStart);
                entry.Apply(PageEvent.DropDone);
                _resident--;
                break;
            case PageState.Resident:
                entry.Apply(PageEvent.TakeStart);
                entry.Apply(PageEvent.TakeDone);
                _resident--;
                break;
            case PageState.Leaving:
                entry.Apply(PageEvent.LeaveAcknowledged);
                break;
            case PageState.Remote when _random.Next(4) == 0:
                entry.Apply(PageEvent.Discard);
                break;
        }
    }

    private void ReplaceSegment(int place)
    {
        Segment segment = _known[place];
        for (int page = 0; page < SegmentPages; page++)
        {
            _resident -= segment.Entries[page].State == PageState.Resident ? 1 : 0;
        }

        _policy.Forget(segment.Number);
        _model.Forget(segment.Number);
        _segments.Remove(segment);
        segment.Dispose();
        AddSegment(place);
    }

    private void AddSegment(int place)
    {
        _known[place] = Segment.Create(_segments.FreeNumber(), 0x1000_0000UL * (ulong)(place + 1), SegmentPages);
        _segments.Add(_known[place]);
    }
}
