using System.Xml.Linq;

namespace Hecatonchire.Bench.Report.Plots;

/// <summary>Draws a plot: axes left and below, a line or marks per series, the series' names at their right ends.</summary>
internal static class PlotDrawing
{
    private const double Width = 780, Height = 400;
    private const double Left = 72, Right = Width - 128, Top = 14, Bottom = Height - 58;
    private const double LabelHeight = 16;
    private const double MarkRadius = 4.2;

    /// <summary>Where marks stand close.</summary>
    private const double SmallMarkRadius = 2.8;

    private const double CapWidth = 3.5;

    /// <summary>So far to the side do bars of different systems at the same place stand, that they are not drawn over each other.</summary>
    private const double Stagger = 3;

    public static XElement Draw(Plot plot)
    {
        PlotSeries[] drawn = [.. plot.Series.Where(s => s.Points.Count > 0)];
        return Svg.Picture(
            Width,
            Height,
            plot.Title,
            Svg.Group("axes", [.. Vertical(plot.X), .. Horizontal(plot.Y)]),
            drawn.Select((series, index) => Draw(plot, series, plot.Spread == PlotSpread.Bars ? (index - ((drawn.Length - 1) / 2.0)) * Stagger : 0)),
            Labels(plot, drawn));
    }

    private static IEnumerable<XElement> Vertical(PlotAxis axis)
    {
        foreach (PlotTick tick in axis.Ticks)
        {
            double x = X(axis, tick.Value);
            yield return Svg.Line("grid", x, Top, x, Bottom);
            yield return Svg.Text("tick", x, Bottom + 18, "middle", tick.Label);
        }

        yield return Svg.Line("axis", Left, Bottom, Right, Bottom);
        yield return Svg.Text("title", (Left + Right) / 2, Height - 12, "middle", axis.Title);
    }

    private static IEnumerable<XElement> Horizontal(PlotAxis axis)
    {
        foreach (PlotTick tick in axis.Ticks)
        {
            double y = Y(axis, tick.Value);
            yield return Svg.Line("grid", Left, y, Right, y);
            yield return Svg.Text("tick", Left - 8, y + 4, "end", tick.Label);
        }

        yield return Svg.Line("axis", Left, Top, Left, Bottom);
        yield return Svg.UprightText("title", 16, (Top + Bottom) / 2, axis.Title);
    }

    private static XElement Draw(Plot plot, PlotSeries series, double aside)
    {
        (PlotPoint Point, double X)[] points = [.. series.Points.Select(p => (p, X(plot.X, p.X) + aside))];
        double radius = plot.Spread == PlotSpread.Band ? SmallMarkRadius : MarkRadius;
        return Svg.Group(
            $"series {PlotStyle.ClassOf(series.System)}",
            plot.Spread == PlotSpread.Band ? Band(plot, points) : null,
            series.Joined ? Svg.Shape("line", Svg.Path(points.Select(p => (p.X, Y(plot.Y, p.Point.Y))))) : null,
            plot.Spread == PlotSpread.Bars ? points.Where(p => p.Point.High > p.Point.Low).Select(p => Bar(plot, p.Point, p.X)) : null,
            points.Select(p => Svg.Shape("mark", PlotStyle.Mark(series.System, p.X, Y(plot.Y, p.Point.Y), radius), p.Point.Text)));
    }

    private static XElement Band(Plot plot, (PlotPoint Point, double X)[] points) => Svg.Shape(
        "band",
        Svg.Path([.. points.Select(p => (p.X, Y(plot.Y, p.Point.High))), .. points.Reverse().Select(p => (p.X, Y(plot.Y, p.Point.Low)))]) + "z");

    private static XElement Bar(Plot plot, PlotPoint point, double x)
    {
        double low = Y(plot.Y, point.Low), high = Y(plot.Y, point.High);
        string[] strokes =
        [
            Svg.Path([(x, low), (x, high)]), Svg.Path([(x - CapWidth, low), (x + CapWidth, low)]), Svg.Path([(x - CapWidth, high), (x + CapWidth, high)]),
        ];
        return Svg.Shape("bar", string.Concat(strokes));
    }

    /// <summary>
    /// Right of the plot at the height of the last points, moved apart where lines end close together; of single marks, above the
    /// last.
    /// </summary>
    private static XElement Labels(Plot plot, PlotSeries[] series)
    {
        (PlotSeries Series, double X, double End)[] ends =
            [.. series.Where(s => s.Joined).Select(s => (s, X(plot.X, s.Points[^1].X), Y(plot.Y, s.Points[^1].Y))).OrderBy(s => s.Item3)];
        double[] places = Apart([.. ends.Select(e => e.End)], LabelHeight, Top + (LabelHeight / 2), Bottom);
        const double from = Right + 12, text = Right + 24;
        return Svg.Group(
            "labels",
            ends.Select((end, i) => new[]
            {
                Svg.Group(
                    PlotStyle.ClassOf(end.Series.System),
                    Svg.Line("lead", end.X + 8, end.End, from - 4, places[i]),
                    Svg.Shape("key", PlotStyle.Mark(end.Series.System, from + 3, places[i], MarkRadius))),
                Svg.Text("label", text, places[i] + 4, "start", end.Series.Label),
            }),
            series.Where(s => !s.Joined).Select(s => Svg.Text("label", X(plot.X, s.Points[^1].X), Y(plot.Y, s.Points[^1].High) - 10, "middle", s.Label)));
    }

    /// <summary>Ascending places, moved as little as it takes to be <paramref name="distance"/> apart and within the two borders.</summary>
    internal static double[] Apart(double[] wanted, double distance, double first, double last)
    {
        double[] places = [.. wanted];
        for (int i = 0; i < places.Length; i++)
        {
            places[i] = Math.Max(places[i], i == 0 ? first : places[i - 1] + distance);
        }

        for (int i = places.Length - 1; i >= 0; i--)
        {
            places[i] = Math.Min(places[i], i == places.Length - 1 ? last : places[i + 1] - distance);
        }

        return places;
    }

    private static double X(PlotAxis axis, double value) => Left + (Math.Clamp(axis.Place(value), 0, 1) * (Right - Left));

    private static double Y(PlotAxis axis, double value) => Bottom - (Math.Clamp(axis.Place(value), 0, 1) * (Bottom - Top));
}
