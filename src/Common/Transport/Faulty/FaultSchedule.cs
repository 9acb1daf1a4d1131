namespace Hecatonchire.Transport.Faulty;

/// <summary>
/// What <see cref="FaultyDataConnection"/> does to the requests that pass through it. Chances are per million requests, all drawn
/// from one seed, so that a run can be repeated. All zero: no fault.
/// </summary>
internal sealed record FaultSchedule
{
    public int Seed { get; init; } = 1;

    /// <summary>Completions held back for 1 to <see cref="DelayPollsMax"/> polls.</summary>
    public int DelayPerMillion { get; init; }

    public int DelayPollsMax { get; init; } = 8;

    /// <summary>Completions delivered in a random order among those that are due.</summary>
    public bool Reorder { get; init; }

    /// <summary>A request is refused, which ends the connection.</summary>
    public int RefusePerMillion { get; init; }

    /// <summary>The connection ends when a request would complete; whether WRITEs in flight took effect is random too.</summary>
    public int DropPerMillion { get; init; }

    /// <summary>The connection ends at the request with this number, counted from 1; 0 for never.</summary>
    public long DropAtRequest { get; init; }

    /// <summary>One bit of what a READ returned is flipped, without a word: for checkers that must notice.</summary>
    public int CorruptPerMillion { get; init; }

    /// <summary>True when the decorator only passes on.</summary>
    public bool IsQuiet =>
        DelayPerMillion == 0 && !Reorder && RefusePerMillion == 0 && DropPerMillion == 0 && DropAtRequest == 0
        && CorruptPerMillion == 0;
}
