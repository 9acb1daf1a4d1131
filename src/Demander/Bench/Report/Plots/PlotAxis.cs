using System.Globalization;

namespace Hecatonchire.Bench.Report.Plots;

/// <summary>A value with a line across the plot and a label beside the axis.</summary>
internal readonly record struct PlotTick(double Value, string Label);

/// <summary>Where values lie along an axis.</summary>
/// <param name="Title">With the unit.</param>
/// <param name="Place">From a value to 0 (left, bottom) to 1.</param>
internal sealed record PlotAxis(string Title, Func<double, double> Place, IReadOnlyList<PlotTick> Ticks)
{
    /// <summary>From 0, or another round number, to one above <paramref name="max"/>.</summary>
    public static PlotAxis Linear(string title, double max, double from = 0)
    {
        const int ticksMax = 6;
        const double rangeMin = 0.06;
        double raw = Math.Max(max - from, rangeMin) / ticksMax;
        double decade = Math.Pow(10, Math.Floor(Math.Log10(raw)));
        double step = decade * new[] { 1.0, 2, 2.5, 5, 10 }.First(s => s * decade >= raw * 0.999);
        int count = Math.Max(1, (int)Math.Ceiling((max - from) / step * 0.999));
        return new PlotAxis(
            title,
            value => (value - from) / (count * step),
            [.. Enumerable.Range(0, count + 1).Select(i => from + (i * step)).Select(v => new PlotTick(v, Label(v)))]);
    }

    /// <summary>Logarithmic, between round numbers around the two; a tick at 1, 2 and 5 of each decade, or at 1 of many.</summary>
    public static PlotAxis Log(string title, double min, double max)
    {
        double[] ones = [1], few = [1, 2, 5];
        double[] steps = Math.Log10(max / min) > 3 ? ones : few;
        List<double> all = [.. from power in Enumerable.Range(-9, 22) from step in steps select step * Math.Pow(10, power)];
        double low = all.Last(v => v <= min * 1.001), high = all.First(v => v >= max * 0.999 && v > low);
        double span = Math.Log(high / low);
        return new PlotAxis(
            title,
            value => Math.Log(value / low) / span,
            [.. all.Where(v => v >= low * 0.999 && v <= high * 1.001).Select(v => new PlotTick(v, Label(v)))]);
    }

    /// <summary>Percentages so that each further nine takes the same room: 0, 90, 99, 99.9, 99.99.</summary>
    public static PlotAxis Percentiles(string title, double max)
    {
        double[] shown = [0, 50, 90, 99, 99.9, 99.99];
        double end = Nines(max);
        return new PlotAxis(
            title,
            percent => Nines(percent) / end,
            [.. shown.Where(p => p <= max).Select(p => new PlotTick(p, p == 0 ? "0" : "p" + p.ToString("0.##", CultureInfo.InvariantCulture)))]);

        static double Nines(double percent) => -Math.Log10(1 - (percent / 100));
    }

    /// <summary>Names side by side; the value of one is its index.</summary>
    public static PlotAxis Names(string title, IReadOnlyList<string> names) => new(
        title,
        value => (value + 0.5) / names.Count,
        [.. names.Select((name, index) => new PlotTick(index, name))]);

    private static string Label(double value) => value switch
    {
        0 => "0",
        >= 1_000_000 => (value / 1_000_000).ToString("0.##", CultureInfo.InvariantCulture) + " M",
        >= 10_000 => (value / 1_000).ToString("0.#", CultureInfo.InvariantCulture) + " k",
        _ => value.ToString("0.####", CultureInfo.InvariantCulture),
    };
}
