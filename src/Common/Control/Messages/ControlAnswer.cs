using System.Buffers;
using Hecatonchire.Units;
using MessagePack;

namespace Hecatonchire.Control.Messages;

/// <summary>What a sponsor answers. The id is the request's.</summary>
internal abstract record ControlAnswer(ulong Id)
{
    public abstract string Type { get; }

    /// <summary>The frame to send. Throws where it would exceed <see cref="ControlProtocol.MessageBytesMax"/>, which a bound has to prevent.</summary>
    public byte[] Encode()
    {
        ArrayBufferWriter<byte> frame = new();
        MessagePackWriter writer = new(frame);
        writer.WriteMapHeader(3 + FieldCount);
        writer.WriteString("v"u8);
        writer.Write(ControlProtocol.Version);
        writer.WriteString("type"u8);
        writer.Write(Type);
        writer.WriteString("id"u8);
        writer.Write(Id);
        WriteFields(ref writer);
        writer.Flush();
        return frame.WrittenCount <= ControlProtocol.MessageBytesMax
            ? frame.WrittenSpan.ToArray()
            : throw new InvalidOperationException($"a control message of type {Type} exceeds {ControlProtocol.MessageBytesMax} bytes");
    }

    protected virtual int FieldCount => 0;

    protected virtual void WriteFields(ref MessagePackWriter writer)
    {
    }

    protected static void Write(ref MessagePackWriter writer, ReadOnlySpan<byte> key, long value)
    {
        writer.WriteString(key);
        writer.Write((ulong)value);
    }
}

/// <summary>A request that was not carried out: one of <see cref="ErrorCode"/>, and one line for a person.</summary>
internal sealed record ErrorAnswer(ulong Id, string Code, string Message) : ControlAnswer(Id)
{
    public override string Type => "error";

    protected override int FieldCount => 2;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("code"u8);
        writer.Write(Code);
        writer.WriteString("message"u8);
        writer.Write(Message);
    }
}

/// <summary>Who answers and what it offers. The instance is new at each start of the sponsor: slabs do not survive one.</summary>
internal sealed record HelloAnswer(ulong Id) : ControlAnswer(Id)
{
    public override string Type => "hello.ok";

    public required Guid Sponsor { get; init; }

    public required Guid Instance { get; init; }

    public required int PageSize { get; init; }

    public required int DataPort { get; init; }

    public required long OfferedBytes { get; init; }

    public required long FreeBytes { get; init; }

    public required long SlabBytesMin { get; init; }

    public required long SlabBytesMax { get; init; }

    public required long GoneAfterMs { get; init; }

    public required IReadOnlyList<string> Transports { get; init; }

    /// <summary>Where RDMA connections come in; 0 where the sponsor offers none.</summary>
    public required int RdmaPort { get; init; }

    /// <summary>Where it is, as its owner says; of a sponsor too old to tell, none.</summary>
    public Labels Labels { get; init; } = Labels.None;

    /// <summary>The cluster that it belongs to; zeros: to none.</summary>
    public Guid Cluster { get; init; }

    protected override int FieldCount => 13;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("sponsor"u8);
        writer.Write(WireId.ToBytes(Sponsor));
        writer.WriteString("instance"u8);
        writer.Write(WireId.ToBytes(Instance));
        Write(ref writer, "page_size"u8, PageSize);
        Write(ref writer, "data_port"u8, DataPort);
        Write(ref writer, "offered_bytes"u8, OfferedBytes);
        Write(ref writer, "free_bytes"u8, FreeBytes);
        Write(ref writer, "slab_bytes_min"u8, SlabBytesMin);
        Write(ref writer, "slab_bytes_max"u8, SlabBytesMax);
        Write(ref writer, "gone_after_ms"u8, GoneAfterMs);
        Write(ref writer, "rdma_port"u8, RdmaPort);
        writer.WriteString("transports"u8);
        writer.WriteArrayHeader(Transports.Count);
        foreach (string transport in Transports)
        {
            writer.Write(transport);
        }

        writer.WriteString("labels"u8);
        writer.WriteArrayHeader(Labels.Count);
        foreach (string label in Labels.Pairs)
        {
            writer.Write(label);
        }

        writer.WriteString("cluster"u8);
        writer.Write(WireId.ToBytes(Cluster));
    }
}

/// <summary>32 bytes that open one data connection on the port, once, within the time.</summary>
internal sealed record TokenAnswer(ulong Id, byte[] Token, int DataPort, long ValidMs) : ControlAnswer(Id)
{
    public override string Type => "token.ok";

    protected override int FieldCount => 3;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("token"u8);
        writer.Write(Token);
        Write(ref writer, "data_port"u8, DataPort);
        Write(ref writer, "valid_ms"u8, ValidMs);
    }
}

internal sealed record AllocateAnswer(ulong Id, ulong Slab, long Bytes) : ControlAnswer(Id)
{
    public override string Type => "allocate.ok";

    protected override int FieldCount => 2;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("slab"u8);
        writer.Write(Slab);
        Write(ref writer, "bytes"u8, Bytes);
    }
}

internal sealed record FreeAnswer(ulong Id) : ControlAnswer(Id)
{
    public override string Type => "free.ok";
}

/// <summary>Where a slab is in the sponsor's memory, and the key that its device asks for.</summary>
internal sealed record KeyAnswer(ulong Id, ulong Address, uint Key) : ControlAnswer(Id)
{
    public override string Type => "key.ok";

    protected override int FieldCount => 2;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("address"u8);
        writer.Write(Address);
        writer.WriteString("key"u8);
        writer.Write(Key);
    }
}

/// <summary>No request of the connections that were open can take effect any more.</summary>
internal sealed record ResetAnswer(ulong Id) : ControlAnswer(Id)
{
    public override string Type => "reset.ok";
}

/// <summary>A slab and its size in bytes, as `list` names it.</summary>
internal readonly record struct SlabEntry(ulong Slab, long Bytes);

internal sealed record ListAnswer(ulong Id, IReadOnlyList<SlabEntry> Slabs) : ControlAnswer(Id)
{
    public override string Type => "list.ok";

    protected override int FieldCount => 1;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("slabs"u8);
        writer.WriteArrayHeader(Slabs.Count);
        foreach (SlabEntry entry in Slabs)
        {
            writer.WriteMapHeader(2);
            writer.WriteString("slab"u8);
            writer.Write(entry.Slab);
            Write(ref writer, "bytes"u8, entry.Bytes);
        }
    }
}

internal sealed record StatsAnswer(ulong Id) : ControlAnswer(Id)
{
    public override string Type => "stats.ok";

    public required long OfferedBytes { get; init; }

    public required long LentBytes { get; init; }

    public required long FreeBytes { get; init; }

    public required long Demanders { get; init; }

    public required long DataConnections { get; init; }

    public required long PagesRead { get; init; }

    public required long PagesWritten { get; init; }

    public required long RequestsRefused { get; init; }

    /// <summary>What this demander is asked to give back: to hold elsewhere, and free.</summary>
    public required long ReclaimBytes { get; init; }

    protected override int FieldCount => 9;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        Write(ref writer, "offered_bytes"u8, OfferedBytes);
        Write(ref writer, "lent_bytes"u8, LentBytes);
        Write(ref writer, "free_bytes"u8, FreeBytes);
        Write(ref writer, "demanders"u8, Demanders);
        Write(ref writer, "data_connections"u8, DataConnections);
        Write(ref writer, "pages_read"u8, PagesRead);
        Write(ref writer, "pages_written"u8, PagesWritten);
        Write(ref writer, "requests_refused"u8, RequestsRefused);
        Write(ref writer, "reclaim_bytes"u8, ReclaimBytes);
    }
}

/// <summary>What the sponsor offers from now on, and what of it is lent.</summary>
internal sealed record OfferAnswer(ulong Id, long OfferedBytes, long LentBytes) : ControlAnswer(Id)
{
    public override string Type => "offer.ok";

    protected override int FieldCount => 2;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        Write(ref writer, "offered_bytes"u8, OfferedBytes);
        Write(ref writer, "lent_bytes"u8, LentBytes);
    }
}

internal sealed record HeartbeatAnswer(ulong Id) : ControlAnswer(Id)
{
    public override string Type => "heartbeat.ok";
}
