using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Units;

namespace Hecatonchire.Sponsor.Slabs;

/// <summary>A run of slots that was lent to one demander. The id is never used again while the sponsor runs.</summary>
internal sealed unsafe class Slab(ulong id, SlabMemory memory)
{
    public ulong Id { get; } = id;

    public SlabMemory Memory { get; } = memory;

    public long Bytes => Memory.Bytes;

    public SlabView View { get; } = new(memory.Address, (uint)(memory.Bytes >> PageSize.Shift));
}
