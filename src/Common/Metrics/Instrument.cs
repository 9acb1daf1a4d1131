namespace Hecatonchire.Metrics;

/// <summary>A value, and what it is the value of.</summary>
internal readonly record struct Figure(double Value, KeyValuePair<string, object?>[] Labels);

/// <summary>A figure of a <see cref="MetricsRegistry"/> as it was read last, for whoever does not scrape it.</summary>
/// <param name="name">Prometheus' name.</param>
/// <param name="help">What it is, in a sentence.</param>
/// <param name="isCount">It only grows.</param>
internal sealed class Instrument(string name, string help, bool isCount)
{
    private IReadOnlyList<Figure> _figures = [];

    public string Name => name;

    public string Help => help;

    public bool IsCount => isCount;

    /// <summary>False for a sum of seconds.</summary>
    public bool IsWhole { get; init; } = true;

    /// <summary>One for each combination of labels. Replaced as a whole: from any thread.</summary>
    public IReadOnlyList<Figure> Figures
    {
        get => Volatile.Read(ref _figures);
        set => Volatile.Write(ref _figures, value);
    }
}
