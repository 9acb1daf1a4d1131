namespace Hecatonchire.Sponsor.Serving;

/// <summary>
/// What the data plane serves of whoever shares a name, or of a demander, beside others: see <see cref="DataServer"/>. <see cref="Weight"/> is set by the control thread; the rest is the
/// serving thread's.
/// </summary>
internal sealed class ServingShare
{
    private volatile int _weight = 1;

    /// <summary>Of two that want more than there is, one with twice the weight gets twice as much.</summary>
    public int Weight
    {
        get => _weight;
        set => _weight = value;
    }

    /// <summary>Data connections open.</summary>
    public int Connections;

    /// <summary>What of <see cref="Weight"/> is in the sum of all, since its first connection was opened.</summary>
    public int WeightCounted;

    /// <summary>Bytes that may still be moved for it in the <see cref="Round"/>; below 0: it has had more than its share.</summary>
    public long Credit;

    public long Round;
}
