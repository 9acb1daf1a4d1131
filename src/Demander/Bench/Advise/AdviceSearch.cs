namespace Hecatonchire.Bench.Advise;

/// <summary>Which budget to measure next, and what follows from those that were. It knows no programs.</summary>
/// <param name="PeakBytes">The program's memory.</param>
/// <param name="Planned">Greatest first.</param>
/// <param name="Slowdown">The greatest that is accepted.</param>
/// <param name="SlowdownMax">From here on nothing smaller is tried.</param>
/// <param name="Halvings">How often to halve between the smallest budget that is good enough and the next smaller one.</param>
internal sealed record AdviceSearch(long PeakBytes, IReadOnlyList<AdviceBudget> Planned, double Slowdown, double SlowdownMax, int Halvings)
{
    /// <summary>Null: all is known.</summary>
    public AdviceBudget? Next(IReadOnlyList<AdvicePoint> measured)
    {
        AdvicePoint[] planned = [.. measured.Where(point => !point.IsBetween)];
        if (planned.Length < Planned.Count && planned.All(point => point.Meets(SlowdownMax)))
        {
            return Planned[planned.Length];
        }

        return measured.Count - planned.Length < Halvings && Smallest(measured) is { } good && NextSmaller(measured, good) is { } bad
            ? AdviceBudgets.Between(PeakBytes, bad.Budget, good.Budget)
            : null;
    }

    /// <summary>The smallest of the measured budgets that is good enough; null where none is.</summary>
    public AdvicePoint? Smallest(IEnumerable<AdvicePoint> measured) => measured.Where(point => point.Meets(Slowdown)).MinBy(point => point.Budget.Bytes);

    private static AdvicePoint? NextSmaller(IEnumerable<AdvicePoint> measured, AdvicePoint than) =>
        measured.Where(point => point.Budget.Bytes < than.Budget.Bytes).MaxBy(point => point.Budget.Bytes);
}
