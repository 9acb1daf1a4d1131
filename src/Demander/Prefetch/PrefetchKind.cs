namespace Hecatonchire.Prefetch;

/// <summary>The prefetch policies a user can choose.</summary>
internal enum PrefetchKind
{
    None,

    /// <summary>A fixed window around the faulting page.</summary>
    Window,

    /// <summary>Majority trend over recent faults of the thread (Leap).</summary>
    Trend,
}
