using System.Buffers;
using Hecatonchire.Units;
using MessagePack;

namespace Hecatonchire.Control.Messages;

/// <summary>What a demander asks. The id is its own choice and comes back in the answer.</summary>
internal abstract record ControlRequest(ulong Id)
{
    public abstract string Type { get; }

    /// <summary>The frame to send. Throws where it would exceed <see cref="ControlProtocol.MessageBytesMax"/>.</summary>
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
}

/// <summary>The first request on a connection: who speaks. The name is for people. An id of zeros is an observer: it borrows nothing, and may ask for stats and set the offer.</summary>
internal sealed record HelloRequest(ulong Id, Guid Demander, string Name) : ControlRequest(Id)
{
    public override string Type => "hello";

    protected override int FieldCount => 2;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("demander"u8);
        writer.Write(WireId.ToBytes(Demander));
        writer.WriteString("name"u8);
        writer.Write(Name);
    }
}

/// <summary>Asks for a one-time token that opens a data connection.</summary>
internal sealed record TokenRequest(ulong Id) : ControlRequest(Id)
{
    public override string Type => "token";
}

/// <summary>Asks for a slab of so many bytes.</summary>
internal sealed record AllocateRequest(ulong Id, long Bytes) : ControlRequest(Id)
{
    public override string Type => "allocate";

    protected override int FieldCount => 1;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("bytes"u8);
        writer.Write((ulong)Bytes);
    }
}

/// <summary>Gives a slab back.</summary>
internal sealed record FreeRequest(ulong Id, ulong Slab) : ControlRequest(Id)
{
    public override string Type => "free";

    protected override int FieldCount => 1;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("slab"u8);
        writer.Write(Slab);
    }
}

/// <summary>Asks for the key that opens a slab to RDMA on connections of this demander's domain, the number in their WELCOME.</summary>
internal sealed record KeyRequest(ulong Id, ulong Slab, uint Domain) : ControlRequest(Id)
{
    public override string Type => "key";

    protected override int FieldCount => 2;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("slab"u8);
        writer.Write(Slab);
        writer.WriteString("domain"u8);
        writer.Write(Domain);
    }
}

/// <summary>Ends every data connection of the demander and voids its open tokens.</summary>
internal sealed record ResetRequest(ulong Id) : ControlRequest(Id)
{
    public override string Type => "reset";
}

internal sealed record ListRequest(ulong Id) : ControlRequest(Id)
{
    public override string Type => "list";
}

internal sealed record StatsRequest(ulong Id) : ControlRequest(Id)
{
    public override string Type => "stats";
}

/// <summary>Sets how much the sponsor offers; less than it has lent makes it ask its demanders for the rest. For who has its admin key.</summary>
internal sealed record OfferRequest(ulong Id, long Bytes, byte[] Key) : ControlRequest(Id)
{
    public override string Type => "offer";

    protected override int FieldCount => 2;

    protected override void WriteFields(ref MessagePackWriter writer)
    {
        writer.WriteString("bytes"u8);
        writer.Write((ulong)Bytes);
        writer.WriteString("key"u8);
        writer.Write(Key);
    }
}

internal sealed record HeartbeatRequest(ulong Id) : ControlRequest(Id)
{
    public override string Type => "heartbeat";
}
