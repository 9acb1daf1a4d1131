using System.Globalization;
using System.Text;

namespace Hecatonchire.Metrics;

/// <summary>
/// Writes the Prometheus text exposition format, version 0.0.4: HELP and TYPE lines, samples with escaped labels. Families
/// come one after the other; the caller gives each once.
/// </summary>
internal sealed class PrometheusTextWriter
{
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    /// <summary>Upper bounds in nanoseconds, 1 us to 1 s; close together where a remote fault is expected (5 to 100 us).</summary>
    private static readonly long[] LatencyBounds =
    [
        1_000, 2_000, 5_000, 7_500, 10_000, 15_000, 20_000, 30_000, 50_000, 75_000, 100_000, 200_000, 500_000,
        1_000_000, 2_000_000, 5_000_000, 10_000_000, 20_000_000, 50_000_000, 100_000_000, 500_000_000, 1_000_000_000,
    ];

    private readonly StringBuilder _text = new();

    /// <summary>A label value or help text may hold anything; names are the caller's (see <see cref="MetricName"/>).</summary>
    public void Family(string name, string type, string help)
    {
        _text.Append("# HELP ").Append(name).Append(' ');
        Escape(_text, help, quoted: false);
        _text.Append("\n# TYPE ").Append(name).Append(' ').Append(type).Append('\n');
    }

    /// <summary><paramref name="labels"/> as <see cref="FormatLabels"/> makes them, empty for none.</summary>
    public void Sample(string name, string labels, double value)
    {
        _text.Append(name);
        if (labels.Length > 0)
        {
            _text.Append('{').Append(labels).Append('}');
        }

        _text.Append(' ').Append(FormatValue(value)).Append('\n');
    }

    /// <summary>
    /// A family of type histogram in seconds. The count is taken from the buckets, so that the two agree although the
    /// histogram's writer goes on meanwhile. Bounds are rounded up to the histogram's own buckets (3.2 %).
    /// </summary>
    public void Histogram(string name, string help, LatencyHistogram latencies)
    {
        Family(name, "histogram", help);
        foreach (long bound in LatencyBounds)
        {
            Sample($"{name}_bucket", $"le=\"{FormatValue(bound / 1e9)}\"", latencies.CountAtMost(bound));
        }

        long count = latencies.CountAtMost(long.MaxValue);
        Sample($"{name}_bucket", "le=\"+Inf\"", count);
        Sample($"{name}_sum", "", latencies.Sum / 1e9);
        Sample($"{name}_count", "", count);
    }

    public override string ToString() => _text.ToString();

    /// <summary>Labels in the order of their names: <c>a="1",b="2"</c>. A null value is an empty one, which Prometheus takes as absent.</summary>
    public static string FormatLabels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
    {
        if (tags.IsEmpty)
        {
            return "";
        }

        var text = new StringBuilder();
        KeyValuePair<string, object?>[] sorted = tags.ToArray();
        Array.Sort(sorted, (a, b) => string.CompareOrdinal(a.Key, b.Key));
        foreach ((string key, object? value) in sorted)
        {
            text.Append(text.Length == 0 ? "" : ",").Append(MetricName.Sanitize(key)).Append("=\"");
            Escape(text, Convert.ToString(value, CultureInfo.InvariantCulture) ?? "", quoted: true);
            text.Append('"');
        }

        return text.ToString();
    }

    private static string FormatValue(double value) => value switch
    {
        double.PositiveInfinity => "+Inf",
        double.NegativeInfinity => "-Inf",
        _ => double.IsNaN(value) ? "NaN" : value.ToString("R", CultureInfo.InvariantCulture),
    };

    private static void Escape(StringBuilder text, string value, bool quoted)
    {
        foreach (char c in value)
        {
            _ = c switch
            {
                '\\' => text.Append(@"\\"),
                '\n' => text.Append(@"\n"),
                '"' when quoted => text.Append("\\\""),
                _ => text.Append(c),
            };
        }
    }
}
