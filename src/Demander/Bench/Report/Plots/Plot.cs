namespace Hecatonchire.Bench.Report.Plots;

/// <summary>One measured value: the median, and the least and greatest of its runs.</summary>
/// <param name="Text">What it says when pointed at.</param>
internal readonly record struct PlotPoint(double X, double Y, double Low, double High, string Text);

/// <summary>Points of one system, joined in their order.</summary>
/// <param name="System">Gives the colour and the shape of its marks.</param>
/// <param name="Label">At its end.</param>
internal sealed record PlotSeries(string System, string Label, IReadOnlyList<PlotPoint> Points)
{
    /// <summary>False: marks alone, where there is nothing between them.</summary>
    public bool Joined { get; init; } = true;
}

/// <summary>How the spread of runs is drawn.</summary>
internal enum PlotSpread
{
    Bars,
    Band,
}

/// <summary>A plot as it is meant, without any drawing.</summary>
/// <param name="Title">What it shows, for readers who do not see it as well.</param>
internal sealed record Plot(string Title, PlotAxis X, PlotAxis Y, IReadOnlyList<PlotSeries> Series, PlotSpread Spread = PlotSpread.Bars);
