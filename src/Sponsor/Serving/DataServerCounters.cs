namespace Hecatonchire.Sponsor.Serving;

/// <summary>Why the data plane refused or closed a connection.</summary>
internal enum RefusalReason
{
    /// <summary>Bad magic, unknown op, a reserved field that is not 0.</summary>
    Malformed,
    SecondHello,
    Version,
    Token,
    NoSuchSlab,
    OutOfRange,
    HelloTimeout,

    /// <summary>The peer went away in the middle of a frame.</summary>
    Truncated,
    TooManyConnections,

    /// <summary>The slab was taken away while a request on it was under way.</summary>
    SlabRetired,

    /// <summary>A refused peer did not read its refusal in time.</summary>
    Unresponsive,
}

/// <summary>
/// Counters of the data plane: written by the serving thread only, read by anyone at any time (64-bit reads do not tear).
/// All but <see cref="ConnectionsOpen"/> only grow.
/// </summary>
internal sealed class DataServerCounters
{
    public static readonly int ReasonCount = Enum.GetValues<RefusalReason>().Length;

    private readonly long[] _refused = new long[ReasonCount];

    public long Requests;
    public long PagesRead;
    public long PagesWritten;
    public long ConnectionsAccepted;
    public long ConnectionsOpen;

    public long Refused(RefusalReason reason) => Volatile.Read(ref _refused[(int)reason]);

    public long RefusedInAll()
    {
        long sum = 0;
        for (int i = 0; i < _refused.Length; i++)
        {
            sum += Volatile.Read(ref _refused[i]);
        }

        return sum;
    }

    public void CountRefusal(RefusalReason reason) => _refused[(int)reason]++;
}
