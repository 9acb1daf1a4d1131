using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Hecatonchire.Control;
using Hecatonchire.Control.ZeroMq;

namespace Hecatonchire.Membership;

/// <summary>What a sponsor says of itself in etcd: a JSON object under <c>sponsors/INSTANCE</c>.</summary>
internal sealed record SponsorRecord
{
    public const string Prefix = "sponsors/";

    private const int AddressesMax = 16;

    private static readonly JsonWriterOptions s_readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>As lasting as its key pair.</summary>
    public required Guid Id { get; init; }

    /// <summary>New at each of its starts.</summary>
    public required Guid Instance { get; init; }

    /// <summary>Where its control channel can be reached, the best first; one at least.</summary>
    public required IReadOnlyList<string> Addresses { get; init; }

    /// <summary>Of the control channel.</summary>
    public required int Port { get; init; }

    /// <summary>Z85, 40 characters.</summary>
    public required string PublicKey { get; init; }

    public required long OfferedBytes { get; init; }

    public required long LentBytes { get; init; }

    /// <summary>Pages a second that it serves, as a power of two, so that the record does not change all the time.</summary>
    public required long Load { get; init; }

    public required Labels Labels { get; init; }

    public string Key => $"{Prefix}{Instance:N}";

    public byte[] Encode()
    {
        var bytes = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(bytes, s_readable))
        {
            json.WriteStartObject();
            json.WriteNumber("v", RecordReader.Version);
            json.WriteString("id", Id.ToString("N"));
            json.WriteString("instance", Instance.ToString("N"));
            json.WriteStartArray("addresses");
            foreach (string address in Addresses)
            {
                json.WriteStringValue(address);
            }

            json.WriteEndArray();
            json.WriteNumber("port", Port);
            json.WriteString("public_key", PublicKey);
            json.WriteNumber("offered_bytes", OfferedBytes);
            json.WriteNumber("lent_bytes", LentBytes);
            json.WriteNumber("pages_per_second", Load);
            json.WriteStartObject("labels");
            foreach ((string name, string value) in Labels.Values)
            {
                json.WriteString(name, value);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        return bytes.WrittenSpan.ToArray();
    }

    /// <summary>Anybody may have written it. Null, with the reason in one line, where it is no such record.</summary>
    public static SponsorRecord? Parse(ReadOnlyMemory<byte> value, out string problem)
    {
        using RecordReader? reader = RecordReader.TryOpen(value, out problem);
        return reader is not null
            && reader.TryGetId("id", out Guid id)
            && reader.TryGetId("instance", out Guid instance)
            && reader.TryGetStrings("addresses", AddressesMax, text => Uri.CheckHostName(text) != UriHostNameType.Unknown, out string[] addresses)
            && reader.TryGetNumber("port", 1, ushort.MaxValue, out long port)
            && reader.TryGetString("public_key", CurveKeyPair.IsKey, out string key)
            && reader.TryGetNumber("offered_bytes", 0, long.MaxValue, out long offered)
            && reader.TryGetNumber("lent_bytes", 0, long.MaxValue, out long lent)
            && reader.TryGetNumber("pages_per_second", 0, long.MaxValue, out long load)
            && reader.TryGetLabels("labels", out Labels labels)
                ? new SponsorRecord
                {
                    Id = id,
                    Instance = instance,
                    Addresses = addresses,
                    Port = (int)port,
                    PublicKey = key,
                    OfferedBytes = offered,
                    LentBytes = lent,
                    Load = load,
                    Labels = labels,
                }
                : Fail(reader, ref problem);
    }

    private static SponsorRecord? Fail(RecordReader? reader, ref string problem)
    {
        problem = reader?.Problem ?? problem;
        return null;
    }
}
