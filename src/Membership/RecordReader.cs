using System.Text.Json;
using Hecatonchire.Control;

namespace Hecatonchire.Membership;

/// <summary>Reads a record that anybody may have written: a JSON object of version 1. Members that are not known are ignored; the first that is not as it should be is told.</summary>
internal sealed class RecordReader : IDisposable
{
    public const int Version = 1;

    private const int BytesMax = 16 << 10;
    private const int DepthMax = 4;

    private readonly JsonDocument _document;

    private RecordReader(JsonDocument document) => _document = document;

    /// <summary>Why the last member that was asked for could not be had.</summary>
    public string Problem { get; private set; } = "";

    /// <summary>Null, with the reason in a few words, for what is no such object.</summary>
    public static RecordReader? TryOpen(ReadOnlyMemory<byte> value, out string problem)
    {
        if (value.Length > BytesMax)
        {
            problem = $"it has {value.Length} bytes, and {BytesMax} is the most";
            return null;
        }

        RecordReader? reader = null;
        try
        {
            reader = new RecordReader(JsonDocument.Parse(value, new JsonDocumentOptions { MaxDepth = DepthMax }));
            problem = reader._document.RootElement.ValueKind != JsonValueKind.Object ? "it is no JSON object"
                : reader.TryGetNumber("v", Version, Version, out _) ? "" : $"'v' is not {Version}: it was written by another version of heca";
        }
        catch (JsonException e)
        {
            problem = $"it is no JSON ({e.Message.ReplaceLineEndings(" ")})";
        }

        if (problem.Length > 0)
        {
            reader?.Dispose();
            return null;
        }

        return reader;
    }

    public bool TryGetNumber(string name, long min, long max, out long value)
    {
        value = 0;
        return (Find(name, JsonValueKind.Number) is { } element && element.TryGetInt64(out value) && value >= min && value <= max) || Fail($"'{name}' is no number from {min} to {max}");
    }

    public bool TryGetString(string name, Predicate<string> suits, out string value)
    {
        value = Find(name, JsonValueKind.String) is { } element ? TextOf(element) : "";
        return (value.Length > 0 && suits(value)) || Fail($"'{name}' is not as it should be");
    }

    public bool TryGetId(string name, out Guid value)
    {
        value = Guid.Empty;
        return (Find(name, JsonValueKind.String) is { } element && Guid.TryParseExact(TextOf(element), "N", out value) && value != Guid.Empty) || Fail($"'{name}' is no id of 32 hexadecimal digits");
    }

    /// <summary>One at least.</summary>
    public bool TryGetStrings(string name, int countMax, Predicate<string> suits, out string[] values)
    {
        values = Find(name, JsonValueKind.Array) is { } array && array.GetArrayLength() <= countMax
            ? [.. array.EnumerateArray().Select(element => element.ValueKind == JsonValueKind.String ? TextOf(element) : "")]
            : [];
        return (values.Length > 0 && Array.TrueForAll(values, suits)) || Fail($"'{name}' is no list of 1 to {countMax} of them");
    }

    public bool TryGetLabels(string name, out Labels labels)
    {
        string problem = "it is no object";
        Labels? found = Find(name, JsonValueKind.Object) is { } element
            ? Labels.From(element.EnumerateObject().Select(label => $"{NameOf(label)}={(label.Value.ValueKind == JsonValueKind.String ? TextOf(label.Value) : "")}"), out problem)
            : null;
        labels = found ?? Labels.None;
        return found is not null || Fail($"'{name}': {problem}");
    }

    public void Dispose() => _document.Dispose();

    private JsonElement? Find(string name, JsonValueKind kind)
    {
        try
        {
            return _document.RootElement.TryGetProperty(name, out JsonElement element) && element.ValueKind == kind ? element : null;
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    /// <summary>As <see cref="TextOf"/>.</summary>
    private static string NameOf(JsonProperty member)
    {
        try
        {
            return member.Name;
        }
        catch (InvalidOperationException)
        {
            return "";
        }
    }

    /// <summary>JSON may hold halves of surrogate pairs, and what is no UTF-8, which no string can.</summary>
    private static string TextOf(JsonElement element)
    {
        try
        {
            return element.GetString() ?? "";
        }
        catch (InvalidOperationException)
        {
            return "";
        }
    }

    private bool Fail(string problem)
    {
        Problem = problem;
        return false;
    }
}
