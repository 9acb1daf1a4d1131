namespace Hecatonchire;

/// <summary>Hints for <see cref="SponsoredMemory{T}.Advise"/>. They apply to the whole pages (4096 bytes) inside a range.</summary>
public enum SponsoredMemoryAdvice
{
    /// <summary>The pager's own judgement.</summary>
    Normal = 0,

    /// <summary>Accesses follow no order: no prefetch.</summary>
    Random = 1,

    /// <summary>Accesses go from start to end: wide prefetch windows from the first fault on.</summary>
    Sequential = 2,

    /// <summary>Fetch now, as far as the local budget allows. Returns before the pages are there.</summary>
    WillNeed = 3,

    /// <summary>The contents are not needed any more: the pages read as zeros afterwards.</summary>
    DontNeed = 4,

    /// <summary>Move the pages to the sponsor. Returns when they have left.</summary>
    PageOut = 5,
}
