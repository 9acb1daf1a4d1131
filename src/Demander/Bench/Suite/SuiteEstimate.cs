using Hecatonchire.Bench.Workloads;

namespace Hecatonchire.Bench.Suite;

/// <summary>How long cells take: a guess from experience on 2 cores, corrected by what has been seen on this host.</summary>
internal sealed class SuiteEstimate(SuiteSettings settings)
{
    /// <summary>To start and stop a command, with a pager, a sponsor or a swap device.</summary>
    private const double StartSeconds = 1;

    /// <summary>One thread's quicksort of 1 GiB in local memory.</summary>
    private const double SortSecondsPerGib = 24;

    private readonly Dictionary<string, (double Sum, int Count)> _seen = [];
    private double _seenSeconds;
    private double _guessedSeconds;

    /// <param name="Gib">Seconds to fill and verify 1 GiB.</param>
    /// <param name="Sort">Quicksort by that in local memory.</param>
    /// <param name="Share">Of the time that the slowest system takes for the same accesses.</param>
    private readonly record struct Speed(double Gib, double Sort, double Share);

    /// <summary>Takes note of what a run of the cell took.</summary>
    public void Saw(SuiteCell cell, double seconds)
    {
        (double sum, int count) = _seen.GetValueOrDefault(cell.Id);
        _seen[cell.Id] = (sum + seconds, count + 1);
        _seenSeconds += seconds;
        _guessedSeconds += Guess(cell);
    }

    /// <summary>Seconds for one run: what earlier rounds took, else the guess times how wrong guesses have been.</summary>
    public double Of(SuiteCell cell)
    {
        // One guess says little: it weighs as much as a minute of them.
        const double trust = 60;
        return _seen.TryGetValue(cell.Id, out (double Sum, int Count) seen)
            ? seen.Sum / seen.Count
            : Guess(cell) * (trust + _seenSeconds) / (trust + _guessedSeconds);
    }

    /// <summary>Of the whole suite.</summary>
    public static TimeSpan Whole(SuiteSettings settings)
    {
        var estimate = new SuiteEstimate(settings);
        return TimeSpan.FromSeconds(settings.Runs * SuiteMatrix.Cells(SuiteMatrix.Rows(settings)).Sum(estimate.Guess));
    }

    private double Guess(SuiteCell cell)
    {
        double gib = settings.SizeBytes / (double)(1L << 30);
        Speed speed = SpeedOf(cell.System);
        double measured = cell.Row.Workload.Kind == WorkloadKind.Quicksort ? SortSecondsPerGib * gib * speed.Sort : settings.CellSeconds * speed.Share;
        return StartSeconds + (gib * speed.Gib) + measured;
    }

    private static Speed SpeedOf(string system) => MemorySystemNames.TryParse(system, out MemorySystem known)
        ? known switch
        {
            MemorySystem.Local => new Speed(3, 1, 0.02),
            MemorySystem.Heca => new Speed(7, 1.3, 0.3),
            MemorySystem.DiskSwap => new Speed(22, 2.7, 1),
            MemorySystem.Zswap => new Speed(10, 1.8, 0.4),
            _ => new Speed(8, 1.75, 0.4),
        }
        : new Speed(1.5, 1, 0.3);
}
