using Hecatonchire.Pages;

namespace Hecatonchire.Faults;

/// <summary>
/// Faults that cannot be answered yet: no room within the budget, no free buffer or request. In the order they came.
/// </summary>
internal sealed class ParkedFaults
{
    /// <summary>Each entry is a page some thread is stopped on, so this bounds the stopped threads that are tracked; more stay
    /// unread in the userfaultfd.</summary>
    public const int Capacity = 16384;

    private readonly (PageId Page, long FaultedAt, int Thread, bool IsWrite)[] _ring = new (PageId, long, int, bool)[Capacity];
    private int _head;
    private int _count;

    public int Count => _count;

    public int Free => Capacity - _count;

    public void Push(PageId page, long faultedAt, int thread, bool isWrite)
    {
        if (_count == Capacity)
        {
            Environment.FailFast("parked faults overflow: events were read without room for them");
        }

        _ring[(_head + _count++) % Capacity] = (page, faultedAt, thread, isWrite);
    }

    public (PageId Page, long FaultedAt, int Thread, bool IsWrite) Pop()
    {
        int at = _head;
        _head = (_head + 1) % Capacity;
        _count--;
        return _ring[at];
    }
}
