using Hecatonchire.Metrics;
using Hecatonchire.Pager;

namespace Hecatonchire.Status;

/// <summary>What all programs of a pager did lately: rates, and percentiles of these faults alone. All are null, or 0, until there is a while to look back on.</summary>
internal sealed record LiveReport
{
    /// <summary>How far back it looks.</summary>
    public required double Seconds { get; init; }

    public required double FaultsPerS { get; init; }

    /// <summary>Those that needed a sponsor.</summary>
    public required double HardFaultsPerS { get; init; }

    public required double PagesInPerS { get; init; }

    public required double PagesOutPerS { get; init; }

    /// <summary>p50, p90, p99, p99.9; null where there was no fault.</summary>
    public required IReadOnlyList<double>? FaultLatencyUs { get; init; }

    /// <summary>Of the prefetched pages whose fate was decided lately, the share that was used; null where there was none.</summary>
    public required double? PrefetchAccuracy { get; init; }

    public required long WriteBackQueuePages { get; init; }
}

/// <summary>
/// Looks back over ten seconds, as long as somebody asks again and again: nothing is done while nobody does. The pager thread is not asked; its counters are read. From any
/// thread.
/// </summary>
internal sealed class LiveFigures(Func<PagerSnapshot> snapshot, Action<LatencyHistogram> copyLatencies, TimeProvider time)
{
    /// <summary>The same for all who ask: they are not to shorten each other's view.</summary>
    private static readonly TimeSpan s_window = TimeSpan.FromSeconds(10), s_step = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly Queue<Sample> _samples = new();
    private Sample? _newest;

    private sealed record Sample(long At, PagerSnapshot Figures, LatencyHistogram Latencies);

    public LiveReport Now()
    {
        lock (_gate)
        {
            var now = new Sample(time.GetTimestamp(), snapshot(), new LatencyHistogram());
            copyLatencies(now.Latencies);
            while (_samples.Count > 1 && time.GetElapsedTime(_samples.Peek().At, now.At) > s_window)
            {
                _ = _samples.Dequeue();
            }

            // Nobody has asked for long, or the program is another: there is nothing to look back on.
            if (_samples.Count > 0 && (time.GetElapsedTime(_newest!.At, now.At) > s_window || now.Figures.Faults < _samples.Peek().Figures.Faults))
            {
                _samples.Clear();
            }

            Sample since = _samples.Count == 0 ? now : _samples.Peek();
            if (_samples.Count == 0 || time.GetElapsedTime(_newest!.At, now.At) >= s_step)
            {
                _samples.Enqueue(_newest = now);
            }

            return Between(since, now);
        }
    }

    private LiveReport Between(Sample since, Sample now)
    {
        double seconds = time.GetElapsedTime(since.At, now.At).TotalSeconds;
        double PerSecond(Func<PagerSnapshot, long> count) => seconds == 0 ? 0 : Math.Round(Math.Max(0, count(now.Figures) - count(since.Figures)) / seconds, 1);
        LatencyHistogram latencies = now.Latencies.Since(since.Latencies);
        long used = now.Figures.PrefetchUsed - since.Figures.PrefetchUsed, wasted = now.Figures.PrefetchWasted - since.Figures.PrefetchWasted;
        return new LiveReport
        {
            Seconds = Math.Round(seconds, 1),
            FaultsPerS = PerSecond(figures => figures.Faults),
            HardFaultsPerS = PerSecond(figures => figures.HardFaults),
            PagesInPerS = PerSecond(figures => figures.PagesIn),
            PagesOutPerS = PerSecond(figures => figures.PagesOut),
            FaultLatencyUs = latencies.Count == 0 ? null : StatusReport.Percentiles(latencies),
            PrefetchAccuracy = used + wasted <= 0 ? null : Math.Round((double)used / (used + wasted), 3),
            WriteBackQueuePages = now.Figures.WriteBackQueue,
        };
    }
}
