using System.Runtime.InteropServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Sponsor.Serving;

/// <summary>What all connections of one server share; used by the serving thread only.</summary>
internal sealed unsafe class ServingContext(ISlabDirectory directory, Guid sponsorId) : IDisposable
{
    /// <summary>One sendmsg lists no more: a header and a payload for each pending answer.</summary>
    public const int VectorsMax = 2 * ServingConnection.AnswersMax;

    public ISlabDirectory Directory { get; } = directory;

    public Guid SponsorId { get; } = sponsorId;

    public DataServerCounters Counters { get; } = new();

    /// <summary>Who has data connections open: names, or demanders where there are none.</summary>
    public int SharesOpen { get; private set; }

    /// <summary>Of all that are open; 1 at least.</summary>
    public int WeightOpen { get; private set; }

    /// <summary>A connection of a share was opened (+1) or closed (-1).</summary>
    public void NoteConnection(ServingShare share, int change)
    {
        if (share.Connections == 0)
        {
            share.WeightCounted = share.Weight;
        }

        share.Connections += change;
        if (share.Connections == (change > 0 ? 1 : 0))
        {
            SharesOpen += change;
            WeightOpen += change * share.WeightCounted;
        }
    }

    public IoVector* Vectors { get; private set; } =
        (IoVector*)NativeMemory.AllocZeroed(VectorsMax, (nuint)sizeof(IoVector));

    public void Dispose()
    {
        NativeMemory.Free(Vectors);
        Vectors = null;
    }
}
