using System.Text;
using MessagePack;

namespace Hecatonchire.Control.Messages;

/// <summary>Decodes a sponsor's answers. Never throws; what is not a complete answer of version 1 is null.</summary>
internal static class AnswerDecoder
{
    private const int TransportsMax = 8;

    public static ControlAnswer? Decode(ReadOnlyMemory<byte> frame)
    {
        if (!ControlMap.TryOpen(frame, out ControlMap map)
            || !map.TryGetUnsigned("v"u8, out ulong version)
            || !map.TryGetUnsigned("id"u8, out ulong id)
            || !map.TryGetString("type"u8, out ReadOnlySpan<byte> type))
        {
            return null;
        }

        // An error is understood whatever version it is in: it is what says that the versions differ.
        string name = Encoding.UTF8.GetString(type);
        if (version != ControlProtocol.Version && name != "error")
        {
            return null;
        }

        return name switch
        {
            "error" => DecodeError(id, map),
            "hello.ok" => DecodeHello(id, map),
            "token.ok" => DecodeToken(id, map),
            "allocate.ok" => map.TryGetUnsigned("slab"u8, out ulong slab) && map.TryGetCount("bytes"u8, out long bytes)
                ? new AllocateAnswer(id, slab, bytes)
                : null,
            "free.ok" => new FreeAnswer(id),
            "key.ok" => map.TryGetUnsigned("address"u8, out ulong address)
                && map.TryGetUnsigned("key"u8, out ulong key) && key <= uint.MaxValue
                ? new KeyAnswer(id, address, (uint)key)
                : null,
            "reset.ok" => new ResetAnswer(id),
            "list.ok" => DecodeList(id, map),
            "stats.ok" => DecodeStats(id, map),
            "offer.ok" => map.TryGetCount("offered_bytes"u8, out long offered) && map.TryGetCount("lent_bytes"u8, out long lent)
                ? new OfferAnswer(id, offered, lent)
                : null,
            "heartbeat.ok" => new HeartbeatAnswer(id),
            _ => null,
        };
    }

    private static ErrorAnswer? DecodeError(ulong id, ControlMap map) =>
        map.TryGetString("code"u8, out ReadOnlySpan<byte> code) && map.TryGetString("message"u8, out ReadOnlySpan<byte> message)
            ? new ErrorAnswer(id, Encoding.UTF8.GetString(code), Encoding.UTF8.GetString(message))
            : null;

    private static HelloAnswer? DecodeHello(ulong id, ControlMap map) =>
        map.TryGetId("sponsor"u8, out Guid sponsor)
        && map.TryGetId("instance"u8, out Guid instance)
        && map.TryGetInt32("page_size"u8, int.MaxValue, out int pageSize)
        && map.TryGetInt32("data_port"u8, ushort.MaxValue, out int dataPort)
        && map.TryGetCount("offered_bytes"u8, out long offered)
        && map.TryGetCount("free_bytes"u8, out long free)
        && map.TryGetCount("slab_bytes_min"u8, out long slabMin)
        && map.TryGetCount("slab_bytes_max"u8, out long slabMax)
        && map.TryGetCount("gone_after_ms"u8, out long goneAfter)
        && DecodeStrings(map, "transports"u8, TransportsMax) is { } transports
            ? new HelloAnswer(id)
            {
                Sponsor = sponsor,
                Instance = instance,
                PageSize = pageSize,
                DataPort = dataPort,
                OfferedBytes = offered,
                FreeBytes = free,
                SlabBytesMin = slabMin,
                SlabBytesMax = slabMax,
                GoneAfterMs = goneAfter,
                Transports = transports,
                RdmaPort = map.TryGetInt32("rdma_port"u8, ushort.MaxValue, out int rdmaPort) ? rdmaPort : 0,
                Labels = Labels.From(DecodeStrings(map, "labels"u8, Labels.CountMax) ?? [], out _) ?? Labels.None,
                Cluster = map.TryGetId("cluster"u8, out Guid cluster) ? cluster : Guid.Empty,
            }
            : null;

    /// <summary>Null where there is no array of strings under the key, or a longer one.</summary>
    private static string[]? DecodeStrings(ControlMap map, ReadOnlySpan<byte> key, int countMax)
    {
        if (!map.TryGetArray(key, out _, out MessagePackReader reader, out int count) || count > countMax)
        {
            return null;
        }

        string[] strings = new string[count];
        for (int i = 0; i < count; i++)
        {
            if (!ControlMap.TryReadString(ref reader, out ReadOnlySpan<byte> text))
            {
                return null;
            }

            strings[i] = Encoding.UTF8.GetString(text);
        }

        return strings;
    }

    private static TokenAnswer? DecodeToken(ulong id, ControlMap map) =>
        map.TryGetBinary("token"u8, ControlProtocol.TokenBytes, out ReadOnlySpan<byte> token)
        && map.TryGetInt32("data_port"u8, ushort.MaxValue, out int port)
        && map.TryGetCount("valid_ms"u8, out long valid)
            ? new TokenAnswer(id, token.ToArray(), port, valid)
            : null;

    private static ListAnswer? DecodeList(ulong id, ControlMap map)
    {
        if (!map.TryGetArray("slabs"u8, out ReadOnlyMemory<byte> source, out MessagePackReader reader, out int count)
            || count > ControlProtocol.SlabsPerDemanderMax)
        {
            return null;
        }

        SlabEntry[] slabs = new SlabEntry[count];
        for (int i = 0; i < count; i++)
        {
            if (!ControlMap.TryOpen(source, ref reader, out ControlMap entry)
                || !entry.TryGetUnsigned("slab"u8, out ulong slab)
                || !entry.TryGetCount("bytes"u8, out long bytes))
            {
                return null;
            }

            slabs[i] = new SlabEntry(slab, bytes);
        }

        return new ListAnswer(id, slabs);
    }

    private static StatsAnswer? DecodeStats(ulong id, ControlMap map) =>
        map.TryGetCount("offered_bytes"u8, out long offered)
        && map.TryGetCount("lent_bytes"u8, out long lent)
        && map.TryGetCount("free_bytes"u8, out long free)
        && map.TryGetCount("demanders"u8, out long demanders)
        && map.TryGetCount("data_connections"u8, out long connections)
        && map.TryGetCount("pages_read"u8, out long read)
        && map.TryGetCount("pages_written"u8, out long written)
        && map.TryGetCount("requests_refused"u8, out long refused)
            ? new StatsAnswer(id)
            {
                OfferedBytes = offered,
                LentBytes = lent,
                FreeBytes = free,
                Demanders = demanders,
                DataConnections = connections,
                PagesRead = read,
                PagesWritten = written,
                RequestsRefused = refused,
                ReclaimBytes = map.TryGetCount("reclaim_bytes"u8, out long reclaim) ? reclaim : 0,
            }
            : null;
}
