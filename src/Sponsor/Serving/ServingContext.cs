using System.Runtime.InteropServices;
using Hecatonchire.Interop;

namespace Hecatonchire.Sponsor.Serving;

/// <summary>What all connections of one server share; used by the serving thread only.</summary>
internal sealed unsafe class ServingContext(ISlabDirectory directory, Guid sponsorId, int connectionsPerShareMax = int.MaxValue, bool isShared = true) : IDisposable
{
    /// <summary>One sendmsg lists no more: a header and a payload for each pending answer.</summary>
    public const int VectorsMax = 2 * ServingConnection.AnswersMax;

    public ISlabDirectory Directory { get; } = directory;

    public Guid SponsorId { get; } = sponsorId;

    public int ConnectionsPerShareMax { get; } = connectionsPerShareMax;

    public DataServerCounters Counters { get; } = new();

    public FairRounds Rounds { get; } = new(isShared);

    public IoVector* Vectors { get; private set; } =
        (IoVector*)NativeMemory.AllocZeroed(VectorsMax, (nuint)sizeof(IoVector));

    public void Dispose()
    {
        NativeMemory.Free(Vectors);
        Vectors = null;
    }
}
