using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Hecatonchire.Bench;

/// <summary>One spelling for everything a benchmark writes and reads.</summary>
internal static class BenchJson
{
    /// <summary>For the user: every name is there, null where it does not apply.</summary>
    public static readonly JsonSerializerOptions Report = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    /// <summary>Between the worker and its parent.</summary>
    public static readonly JsonSerializerOptions Line = new(Report) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };
}
