namespace Hecatonchire.Bench;

/// <summary>How far a workload is. Threads add to it in large steps; a reporter reads it.</summary>
internal sealed class PhaseProgress
{
    private string _phase = "";
    private long _done;
    private long _total;

    public string Phase => Volatile.Read(ref _phase);

    public long Done => Volatile.Read(ref _done);

    public long Total => Volatile.Read(ref _total);

    /// <summary>Starts a phase of <paramref name="total"/> units of work, whatever a unit is there.</summary>
    public void Begin(string phase, long total)
    {
        Volatile.Write(ref _phase, "");
        Volatile.Write(ref _done, 0);
        Volatile.Write(ref _total, total);
        Volatile.Write(ref _phase, phase);
    }

    /// <summary>Nothing under way: a reporter stays silent.</summary>
    public void End() => Volatile.Write(ref _phase, "");

    public void Add(long units) => Interlocked.Add(ref _done, units);
}
