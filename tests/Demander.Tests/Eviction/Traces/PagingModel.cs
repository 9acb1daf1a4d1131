using Hecatonchire.Eviction;
using Hecatonchire.Pages;
using Hecatonchire.Prefetch;

namespace Hecatonchire.Tests.Eviction.Traces;

/// <summary>
/// What a pager does with a trace, without time: the real eviction and prefetch policies, told of faults only. Pages come at once;
/// the pages on their way out (staging) count as resident and are recalled by a touch.
/// </summary>
internal sealed unsafe class PagingModel : IDisposable
{
    private const int StagedPages = 64;
    private const int WindowPagesMax = 128;
    private const int HeldPages = 256;

    private readonly SegmentTable _segments = new();
    private readonly Segment _segment;
    private readonly EvictionPolicy _policy;
    private readonly IPrefetchPolicy _prefetch;
    private readonly int _resident;
    private readonly int[] _staged = new int[StagedPages];
    private readonly int[] _held = new int[HeldPages];
    private readonly int[] _streams = new int[HeldPages];
    private int _nextStaged;
    private int _nextHeld;
    private int _count;

    public PagingModel(EvictionKind kind, IPrefetchPolicy prefetch, int pages, int resident)
    {
        (_prefetch, _resident) = (prefetch, resident);
        _segment = Segment.Create(_segments.FreeNumber(), 1 << 30, pages);
        _segments.Add(_segment);
        _policy = kind.Create(_segments);
        _policy.EnsureCapacity(resident, pages);
        for (int page = 0; page < pages; page++)
        {
            ref PageEntry entry = ref _segment.Entries[page];
            entry.Apply(PageEvent.ZeroFill);
            entry.Apply(PageEvent.TakeStart);
            entry.Apply(PageEvent.TakeDone);
            entry.Apply(PageEvent.LeaveClean);
        }
    }

    /// <summary>Pages fetched, on demand or ahead.</summary>
    public long Fetches { get; private set; }

    /// <summary>Touches that found their page neither here nor fetched ahead.</summary>
    public long Misses { get; private set; }

    public static (long Fetches, long Misses) Run(Trace trace, EvictionKind kind, IPrefetchPolicy prefetch, int resident)
    {
        using var model = new PagingModel(kind, prefetch, trace.Pages, resident);
        for (int i = 0; i < trace.WarmUp; i++)
        {
            model.Touch(trace.PageAt(i), trace.ThreadAt(i));
        }

        (model.Fetches, model.Misses) = (0, 0);
        for (int i = trace.WarmUp; i < trace.Count; i++)
        {
            model.Touch(trace.PageAt(i), trace.ThreadAt(i));
        }

        return (model.Fetches, model.Misses);
    }

    public void Touch(int page, int thread)
    {
        ref PageEntry entry = ref _segment.Entries[page];
        switch (entry.State)
        {
            case PageState.Leaving:
                entry.Apply(PageEvent.Recall);
                Install(page, PageArrival.Recall);
                break;
            case PageState.Held:
                entry.Apply(PageEvent.HeldInstall);
                Install(page, PageArrival.Prefetch);
                Prefetch(_prefetch.OnHit(_streams[entry.Index], Id(page), WindowMax));
                break;
            case PageState.Remote:
                Misses++;
                Fetch(page, PageArrival.Demand);
                Prefetch(_prefetch.OnFault(thread, Id(page), WindowMax));
                break;
        }
    }

    public void Dispose()
    {
        _policy.Dispose();
        _segments.Dispose();
    }

    private int WindowMax => Math.Min(_resident / 8, WindowPagesMax);

    private PageId Id(int page) => new(_segment.Number, page);

    private void Fetch(int page, PageArrival arrival)
    {
        Fetches++;
        _segment.Entries[page].Apply(PageEvent.FetchStart);
        _segment.Entries[page].Apply(PageEvent.FetchDone);
        Install(page, arrival);
    }

    private void Install(int page, PageArrival arrival)
    {
        if (_count == _resident - StagedPages)
        {
            Evict();
        }

        _count++;
        _policy.Push(Id(page), ref _segment.Entries[page], arrival);
    }

    private void Evict()
    {
        if (!_policy.TryPop(out PageId victim))
        {
            throw new InvalidOperationException("the policy has lost pages");
        }

        ref PageEntry longest = ref _segment.Entries[_staged[_nextStaged]];
        if (longest.State == PageState.Leaving && longest.Index == _nextStaged)
        {
            longest.Apply(PageEvent.LeaveClean);
        }

        ref PageEntry entry = ref _segment.Entries[victim.Page];
        entry.Apply(PageEvent.TakeStart);
        entry.Apply(PageEvent.TakeDone);
        entry.Index = _nextStaged;
        _staged[_nextStaged] = (int)victim.Page;
        _nextStaged = (_nextStaged + 1) % StagedPages;
        _count--;
    }

    private void Prefetch(PrefetchWindow window)
    {
        int issued = 0, i = 0;
        bool isMarked = window.Stream < 0;
        for (; i < window.Count; i++)
        {
            long page = window.First + ((long)i * window.Stride);
            if (page < 0 || page >= _segment.Pages)
            {
                break;
            }

            if (_segment.Entries[page].State != PageState.Remote)
            {
                continue;
            }

            issued++;
            if (isMarked)
            {
                Fetch((int)page, PageArrival.Prefetch);
            }
            else
            {
                Hold((int)page, window.Stream);
                isMarked = true;
            }
        }

        if (window.Count > 0)
        {
            _prefetch.Issued(window.Stream, issued, window.First + ((long)i * window.Stride));
        }
    }

    private void Hold(int page, int stream)
    {
        ref PageEntry oldest = ref _segment.Entries[_held[_nextHeld]];
        if (oldest.State == PageState.Held && oldest.Index == _nextHeld)
        {
            oldest.Apply(PageEvent.HeldRelease);
        }

        Fetches++;
        ref PageEntry entry = ref _segment.Entries[page];
        entry.Apply(PageEvent.FetchStart);
        entry.Apply(PageEvent.FetchHeld);
        entry.Index = _nextHeld;
        (_held[_nextHeld], _streams[_nextHeld]) = (page, stream);
        _nextHeld = (_nextHeld + 1) % HeldPages;
    }
}
