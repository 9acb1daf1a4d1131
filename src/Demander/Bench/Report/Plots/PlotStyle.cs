using Hecatonchire.Bench.Suite;

namespace Hecatonchire.Bench.Report.Plots;

/// <summary>
/// How a system looks in every plot. The colours are those of Okabe and Ito, told apart with any colour vision, shaded for light
/// and for dark paper; the shapes of the marks tell the same once more.
/// </summary>
internal static class PlotStyle
{
    /// <param name="Light">On white.</param>
    /// <param name="Dark">On black.</param>
    /// <param name="Mark">Corners around 0, 0; none for a circle.</param>
    private sealed record Look(string Light, string Dark, (double X, double Y)[] Mark);

    private static readonly (double X, double Y)[] s_plus =
    [
        (-0.4, -1.1), (0.4, -1.1), (0.4, -0.4), (1.1, -0.4), (1.1, 0.4), (0.4, 0.4),
        (0.4, 1.1), (-0.4, 1.1), (-0.4, 0.4), (-1.1, 0.4), (-1.1, -0.4), (-0.4, -0.4),
    ];

    private static readonly Dictionary<string, Look> s_looks = new()
    {
        [SuiteSystems.Heca] = new("#0067a5", "#5ab8f0", []),
        [SuiteSystems.HecaRdma] = new("#5b3fb5", "#a793f5", [(-1.2, -0.5), (1.2, -0.5), (1.2, 0.5), (-1.2, 0.5)]),
        [SuiteSystems.Floor] = new("#1b1b1b", "#f2f2f2", [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)]),
        [SuiteSystems.Local] = new("#767676", "#a0a0a0", [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]),
        [MemorySystem.DiskSwap.Name()] = new("#cc5500", "#ff8f4d", [(0, -1.2), (1.15, 0.85), (-1.15, 0.85)]),
        [MemorySystem.ZramLzoRle.Name()] = new("#00805c", "#35c99c", [(0, 1.2), (1.15, -0.85), (-1.15, -0.85)]),
        [MemorySystem.ZramLz4.Name()] = new("#b07900", "#eebb3c", s_plus),
        [MemorySystem.Zswap.Name()] = new("#a64d89", "#e39ac6", [.. s_plus.Select(p => (X: (p.X - p.Y) * 0.75, Y: (p.X + p.Y) * 0.75))]),
    };

    /// <summary>Of everything that belongs to the system.</summary>
    public static string ClassOf(string system) => $"s-{system}";

    /// <summary>The path of a mark around a place, about twice <paramref name="radius"/> wide.</summary>
    public static string Mark(string system, double x, double y, double radius)
    {
        (double X, double Y)[] corners = s_looks[system].Mark;
        return corners.Length == 0
            ? $"M{Svg.N(x - radius)} {Svg.N(y)}a{Svg.N(radius)} {Svg.N(radius)} 0 1 0 {Svg.N(2 * radius)} 0a{Svg.N(radius)} {Svg.N(radius)} 0 1 0 {Svg.N(-2 * radius)} 0z"
            : Svg.Path(corners.Select(c => (x + (c.X * radius), y + (c.Y * radius)))) + "z";
    }

    /// <summary>Rules that give each class its colour, as a variable; one line per system.</summary>
    public static string Css(bool dark) =>
        string.Join('\n', s_looks.Select(look => $".{ClassOf(look.Key)} {{ --c: {(dark ? look.Value.Dark : look.Value.Light)}; }}"));
}
