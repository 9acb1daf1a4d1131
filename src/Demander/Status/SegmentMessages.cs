using System.Text.Json;
using System.Text.Json.Serialization;
using Hecatonchire.Pager;
using Hecatonchire.Service;

namespace Hecatonchire.Status;

/// <summary>What is asked at a pager's segment socket: one JSON object, to the end of what the asker sends. Without <see cref="Resize"/>: which segments there are.</summary>
internal sealed record SegmentQuestion
{
    public SegmentResize? Resize { get; init; }
}

/// <summary>One JSON object, to the end of the connection.</summary>
internal sealed record SegmentAnswer
{
    /// <summary>Why it was not done, in one line; null: all is well.</summary>
    public string? Error { get; init; }

    public IReadOnlyList<SegmentReport>? Segments { get; init; }
}

/// <summary>How both are written.</summary>
internal static class SegmentJson
{
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        Converters = { new JsonStringEnumConverter(JsonNamingPolicy.SnakeCaseLower) },
    };

    /// <summary>Null for what is none.</summary>
    public static T? Parse<T>(ReadOnlySpan<byte> json)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize<T>(json, Options);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
