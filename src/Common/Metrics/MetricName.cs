using System.Diagnostics.Metrics;
using System.Text;

namespace Hecatonchire.Metrics;

/// <summary>How an instrument of System.Diagnostics.Metrics is called in Prometheus: <c>heca_sponsor_lent_bytes</c>.</summary>
internal static class MetricName
{
    private const string Prefix = "heca_";

    /// <summary>Prefix, name with underscores, unit (<c>By</c> and <c>s</c>; <c>{page}</c> and the like add nothing), <c>_total</c> for counters.</summary>
    public static string Of(Instrument instrument)
    {
        string name = Sanitize(instrument.Name);
        if (!name.StartsWith(Prefix, StringComparison.Ordinal))
        {
            name = Prefix + name;
        }

        string unit = instrument.Unit switch
        {
            "By" or "bytes" => "_bytes",
            "s" or "seconds" => "_seconds",
            "1" => "_ratio",
            _ => "",
        };
        bool counter = TypeOf(instrument) == "counter";
        name = counter ? TrimEnd(name, "_total") : name;
        return TrimEnd(name, unit) + unit + (counter ? "_total" : "");
    }

    /// <summary><c>counter</c>, <c>gauge</c>, or null for an instrument that is not exported (Histogram: see <see cref="LatencySource"/>).</summary>
    public static string? TypeOf(Instrument instrument)
    {
        Type type = instrument.GetType().GetGenericTypeDefinition();
        if (type == typeof(Counter<>) || type == typeof(ObservableCounter<>))
        {
            return "counter";
        }

        return type == typeof(Histogram<>) ? null : "gauge";
    }

    /// <summary>Letters, digits and underscores, not beginning with a digit.</summary>
    public static string Sanitize(string name)
    {
        var text = new StringBuilder(name.Length);
        foreach (char c in name)
        {
            text.Append(char.IsAsciiLetterOrDigit(c) ? char.ToLowerInvariant(c) : '_');
        }

        return text.Length == 0 || char.IsAsciiDigit(text[0]) ? $"_{text}" : text.ToString();
    }

    private static string TrimEnd(string name, string suffix) =>
        suffix.Length > 0 && name.EndsWith(suffix, StringComparison.Ordinal) ? name[..^suffix.Length] : name;
}
