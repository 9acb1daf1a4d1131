using System.Text.Json;

namespace Hecatonchire.Bench.Suite;

/// <summary>
/// The figures of one run that a report uses, from what `heca bench --json` or heca-floor printed. What a program did not
/// print is null: a report of older results is made as far as they go.
/// </summary>
internal sealed record Measurement
{
    public double? ElapsedS { get; init; }

    public double? AccessesPerS { get; init; }

    public double? PagesPerS { get; init; }

    public double? PagesIn { get; init; }

    public double? PagesOut { get; init; }

    /// <summary>On the swap device at the end of the measured part.</summary>
    public double? DeviceBytes { get; init; }

    /// <summary>As the touching thread sees it, by percentage, upwards.</summary>
    public IReadOnlyList<LatencyPoint> Touches { get; init; } = [];

    public CpuSeconds? Cpu { get; init; }

    /// <summary>Microseconds; null where that percentage was not measured.</summary>
    public double? Touch(double percent) => Touches.FirstOrDefault(point => point.Percent == percent)?.Us;

    public static Measurement Of(JsonElement output) => new()
    {
        ElapsedS = Number(output, "elapsed_s"),
        AccessesPerS = Number(output, "accesses_per_s"),
        PagesPerS = Number(output, "pages_per_s"),
        PagesIn = Number(output, "pages_in"),
        PagesOut = Number(output, "pages_out"),
        DeviceBytes = Number(output, "device_bytes"),
        Touches = TouchesOf(output),
        Cpu = Member(output, "cpu_s") is { } cpu
            ? new CpuSeconds(Number(cpu, "worker") ?? 0, Number(cpu, "pager") ?? 0, Number(cpu, "sponsor"), Number(cpu, "host"))
            : null,
    };

    /// <summary>heca prints a curve; the floor a few percentiles, each by a name of its own.</summary>
    private static List<LatencyPoint> TouchesOf(JsonElement output)
    {
        (string Name, double Percent)[] floor = [("p50_us", 50), ("p90_us", 90), ("p99_us", 99), ("p999_us", 99.9), ("p9999_us", 99.99)];
        return Member(output, "touch_percentiles") is { } points
            ? points.Deserialize<List<LatencyPoint>>(BenchJson.Report)!
            : [.. from point in floor where Number(output, point.Name) is not null select new LatencyPoint(point.Percent, Number(output, point.Name)!.Value)];
    }

    private static double? Number(JsonElement parent, string name) => Member(parent, name) is { ValueKind: JsonValueKind.Number } number ? number.GetDouble() : null;

    private static JsonElement? Member(JsonElement parent, string name) =>
        parent.ValueKind == JsonValueKind.Object && parent.TryGetProperty(name, out JsonElement member) && member.ValueKind != JsonValueKind.Null ? member : null;
}
