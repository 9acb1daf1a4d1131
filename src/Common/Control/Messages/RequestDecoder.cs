using System.Text;
using Hecatonchire.Units;

namespace Hecatonchire.Control.Messages;

/// <summary>
/// What a frame from a demander turned out to be. Neither request nor refusal: it was no message at all, and there is nobody
/// to answer. A refusal is the error answer to send.
/// </summary>
internal readonly record struct DecodedRequest(ControlRequest? Request, ErrorAnswer? Refusal)
{
    public bool IsDropped => Request is null && Refusal is null;
}

/// <summary>Decodes requests from bytes that anybody may have sent. Never throws.</summary>
internal static class RequestDecoder
{
    public static DecodedRequest Decode(ReadOnlyMemory<byte> frame)
    {
        if (!ControlMap.TryOpen(frame, out ControlMap map)
            || !map.TryGetUnsigned("v"u8, out ulong version)
            || !map.TryGetUnsigned("id"u8, out ulong id)
            || !map.TryGetString("type"u8, out ReadOnlySpan<byte> type))
        {
            return default;
        }

        if (version != ControlProtocol.Version)
        {
            return Refuse(id, ErrorCode.Version, $"version {version} is not spoken here, only {ControlProtocol.Version}");
        }

        return Encoding.UTF8.GetString(type) switch
        {
            "hello" => DecodeHello(id, map),
            "token" => new DecodedRequest(new TokenRequest(id), null),
            "allocate" => map.TryGetCount("bytes"u8, out long bytes)
                ? new DecodedRequest(new AllocateRequest(id, bytes), null)
                : Refuse(id, ErrorCode.BadRequest, "allocate needs 'bytes', an integer of 0 or more"),
            "free" => map.TryGetUnsigned("slab"u8, out ulong slab)
                ? new DecodedRequest(new FreeRequest(id, slab), null)
                : Refuse(id, ErrorCode.BadRequest, "free needs 'slab', an integer of 0 or more"),
            "key" => map.TryGetUnsigned("slab"u8, out ulong named)
                && map.TryGetUnsigned("domain"u8, out ulong domain) && domain <= uint.MaxValue
                ? new DecodedRequest(new KeyRequest(id, named, (uint)domain), null)
                : Refuse(id, ErrorCode.BadRequest, "key needs 'slab' and 'domain', integers of 0 or more"),
            "reset" => new DecodedRequest(new ResetRequest(id), null),
            "list" => new DecodedRequest(new ListRequest(id), null),
            "stats" => new DecodedRequest(new StatsRequest(id), null),
            "offer" => map.TryGetCount("bytes"u8, out long offer) && map.TryGetBinary("key"u8, ControlProtocol.AdminKeyBytes, out ReadOnlySpan<byte> admin)
                ? new DecodedRequest(new OfferRequest(id, offer, admin.ToArray()), null)
                : Refuse(id, ErrorCode.BadRequest, $"offer needs 'bytes', an integer of 0 or more, and 'key', {ControlProtocol.AdminKeyBytes} bytes (bin)"),
            "heartbeat" => new DecodedRequest(new HeartbeatRequest(id), null),
            _ => Refuse(
                id,
                ErrorCode.UnknownType,
                "the type is none of hello, token, allocate, free, key, reset, list, stats, offer, heartbeat"),
        };
    }

    private static DecodedRequest DecodeHello(ulong id, ControlMap map)
    {
        if (!map.TryGetId("demander"u8, out Guid demander))
        {
            return Refuse(id, ErrorCode.BadRequest, $"hello needs 'demander', {WireId.Length} bytes (bin)");
        }

        return map.TryGetString("name"u8, out ReadOnlySpan<byte> name) && name.Length <= ControlProtocol.NameBytesMax
            ? new DecodedRequest(new HelloRequest(id, demander, Encoding.UTF8.GetString(name)), null)
            : Refuse(id, ErrorCode.BadRequest, $"hello needs 'name', at most {ControlProtocol.NameBytesMax} bytes of text");
    }

    private static DecodedRequest Refuse(ulong id, string code, string message) => new(null, new ErrorAnswer(id, code, message));
}
