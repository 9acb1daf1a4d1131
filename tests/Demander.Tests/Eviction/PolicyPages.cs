using Hecatonchire.Eviction;
using Hecatonchire.Pages;
using Xunit;

namespace Hecatonchire.Tests.Eviction;

/// <summary>One segment whose pages come in and make way for each other as a policy says.</summary>
internal sealed unsafe class PolicyPages : IDisposable
{
    private readonly SegmentTable _segments = new();
    private readonly Segment _segment;
    private readonly long _residentMax;

    public PolicyPages(EvictionKind kind, long pages, long residentMax)
    {
        _residentMax = residentMax;
        _segment = Segment.Create(_segments.FreeNumber(), 1UL << 30, pages);
        _segments.Add(_segment);
        Policy = kind.Create(_segments);
        Policy.EnsureCapacity(residentMax, pages);
    }

    public EvictionPolicy Policy { get; }

    public long ResidentPages { get; private set; }

    public ref PageEntry Entry(long page) => ref _segment.Entries[page];

    public void Come(long page, PageArrival arrival)
    {
        ref PageEntry entry = ref Entry(page);
        if (entry.State == PageState.Resident)
        {
            return;
        }

        if (ResidentPages == _residentMax)
        {
            Assert.True(Policy.TryPop(out PageId victim));
            ref PageEntry leaving = ref Entry(victim.Page);
            leaving.Apply(PageEvent.TakeStart);
            leaving.Apply(PageEvent.TakeDone);
            leaving.Apply(PageEvent.LeaveClean);
            ResidentPages--;
        }

        if (entry.State == PageState.Untouched)
        {
            entry.Apply(PageEvent.ZeroFill);
        }
        else
        {
            entry.Apply(PageEvent.FetchStart);
            entry.Apply(PageEvent.FetchDone);
        }

        Policy.Push(new PageId(_segment.Number, page), ref entry, arrival);
        ResidentPages++;
    }

    /// <summary>The program gives a page up.</summary>
    public void Drop(long page)
    {
        ref PageEntry entry = ref Entry(page);
        if (entry.State == PageState.Resident)
        {
            entry.Apply(PageEvent.DropStart);
            entry.Apply(PageEvent.DropDone);
            ResidentPages--;
        }
    }

    public void Dispose()
    {
        Policy.Dispose();
        _segments.Dispose();
    }
}
