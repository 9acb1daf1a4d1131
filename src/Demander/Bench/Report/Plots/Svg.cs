using System.Globalization;
using System.Xml.Linq;

namespace Hecatonchire.Bench.Report.Plots;

/// <summary>Elements of SVG. What they look like is said by their classes, in the style sheet around them.</summary>
internal static class Svg
{
    private static readonly XNamespace s_namespace = "http://www.w3.org/2000/svg";

    /// <summary>A picture of so many units, as wide as there is room for.</summary>
    public static XElement Picture(double width, double height, string title, params object[] content) => new(
        s_namespace + "svg",
        new XAttribute("viewBox", $"0 0 {N(width)} {N(height)}"),
        new XAttribute("role", "img"),
        new XAttribute("aria-label", title),
        content);

    public static XElement Group(string classes, params object?[] content) => new(s_namespace + "g", Class(classes), content);

    public static XElement Line(string classes, double x1, double y1, double x2, double y2) => new(
        s_namespace + "line", Class(classes), At("x1", x1), At("y1", y1), At("x2", x2), At("y2", y2));

    /// <param name="data">See <see cref="Path(IEnumerable{ValueTuple{double, double}})"/>.</param>
    /// <param name="tip">Shown when pointed at.</param>
    public static XElement Shape(string classes, string data, string? tip = null) => new(
        s_namespace + "path", Class(classes), new XAttribute("d", data), tip is null ? null : new XElement(s_namespace + "title", tip));

    /// <param name="anchor">start, middle or end: what of the text is at the place.</param>
    public static XElement Text(string classes, double x, double y, string anchor, string text) => new(
        s_namespace + "text", Class(classes), At("x", x), At("y", y), new XAttribute("text-anchor", anchor), text);

    /// <summary>Text that reads upwards.</summary>
    public static XElement UprightText(string classes, double x, double y, string text)
    {
        XElement element = Text(classes, x, y, "middle", text);
        element.Add(new XAttribute("transform", $"rotate(-90 {N(x)} {N(y)})"));
        return element;
    }

    /// <summary>Straight lines through the places.</summary>
    public static string Path(IEnumerable<(double X, double Y)> places) => string.Concat(places.Select((p, i) => $"{(i == 0 ? 'M' : 'L')}{N(p.X)} {N(p.Y)}"));

    /// <summary>A coordinate: a hundredth of a unit is finer than any screen.</summary>
    public static string N(double value) => Math.Round(value, 2).ToString(CultureInfo.InvariantCulture);

    private static XAttribute Class(string classes) => new("class", classes);

    private static XAttribute At(string name, double value) => new(name, N(value));
}
