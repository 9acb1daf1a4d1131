using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Interop;
using Hecatonchire.Transport.Spill;
using Hecatonchire.Transport.Striped;

namespace Hecatonchire.Lending;

/// <summary>A file on a local disk, which takes what no sponsor has room for. It lends only where nobody else does, and what is on it is moved to sponsors as soon as they have room.</summary>
internal sealed class SpillLink : LenderLink
{
    private readonly SpillFile _file;
    private readonly SpillConnection _reader;
    private readonly SpillConnection _writer;

    /// <summary>Makes the file. Throws <see cref="SpillException"/>.</summary>
    public SpillLink(SpillPlace place)
    {
        _file = new SpillFile(place.Path, place.BytesMax);
        (_reader, _writer) = (new SpillConnection(_file), new SpillConnection(_file));
        FreeBytes = place.BytesMax;
    }

    public override string Name => $"the spill file in {_file.FilePath}";

    public override Guid Instance { get; } = Guid.NewGuid();

    /// <summary>As sponsors have it, for a stripe moves from one to the other.</summary>
    public override long SlabBytesMin => 64L << 20;

    /// <summary>Its blocks are reserved when it is borrowed.</summary>
    public override long SlabBytesMax => 256L << 20;

    public override ISponsorConnection Reader => _reader;

    public override ISponsorConnection Writer => _writer;

    public override bool IsHere => !IsLost && _file.FailReason is null;

    /// <summary>What it takes of the disk.</summary>
    public long TakenBytes => _file.AllocatedBytes;

    /// <summary>Writes that wait, since the disk is full although room was reserved, and why; null: none does.</summary>
    public string? HeldReason => _file.WritesHeld > 0 ? _file.HeldReason : null;

    public override string PlaceIn(string label) => Name;

    public override SlabEntry Allocate(long bytes, TimeSpan timeout)
    {
        int errno = _file.TryAllocate(bytes, out ulong slab);
        return errno == 0
            ? new SlabEntry(slab, bytes)
            : throw new SponsorException(SponsorErrorCode.Full, $"{Name} gives no more: {Errno.Describe(errno)}");
    }

    public override void Free(ulong slab, TimeSpan timeout) => _ = _file.Free(slab);

    /// <summary>Another process's file is not this one's.</summary>
    public override IReadOnlyList<SlabEntry> ListSlabs(TimeSpan? timeout = null) => [];

    public override void Adopt(ulong slab, long bytes) => throw new InvalidOperationException($"{Name} has nothing of another process");

    public override void Disconnect()
    {
        _reader.Dispose();
        _writer.Dispose();
    }

    public override void Dispose()
    {
        Disconnect();
        _file.Dispose();
    }
}
