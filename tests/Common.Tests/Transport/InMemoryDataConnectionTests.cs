using Hecatonchire.Transport;
using Hecatonchire.Transport.Faulty;
using Hecatonchire.Transport.InMemory;

namespace Hecatonchire.Tests.Transport;

internal sealed class InMemoryPeer : DataConnectionContract.Peer
{
    private readonly InMemorySponsor _sponsor = new();
    private readonly InMemoryDataConnection _inner;

    public InMemoryPeer(uint slots, int? shuffleSeed = null, FaultSchedule? faults = null)
    {
        Slab = _sponsor.AddSlab(slots);
        _inner = new InMemoryDataConnection(_sponsor, shuffleSeed);
        Connection = faults is null ? _inner : new FaultyDataConnection(_inner, faults);
        IsOrdered = shuffleSeed is null && faults?.Reorder != true && faults?.DelayPerMillion is null or 0;
    }

    public override IDataConnection Connection { get; }

    public override ulong Slab { get; }

    public override bool IsOrdered { get; }

    public override void Kill() => _inner.Break();

    public override void Dispose()
    {
        Connection.Dispose();
        _sponsor.Dispose();
    }
}

public sealed class InMemoryDataConnectionTests : DataConnectionContract
{
    internal override Peer Open() => new InMemoryPeer(Slots);
}

public sealed class ShuffledInMemoryDataConnectionTests : DataConnectionContract
{
    internal override Peer Open() => new InMemoryPeer(Slots, shuffleSeed: 5);
}

/// <summary>The decorator without faults must not be noticeable.</summary>
public sealed class QuietFaultyDataConnectionTests : DataConnectionContract
{
    internal override Peer Open() => new InMemoryPeer(Slots, faults: new FaultSchedule());
}

/// <summary>Late and out of order is still within the contract.</summary>
public sealed class LateFaultyDataConnectionTests : DataConnectionContract
{
    internal override Peer Open() =>
        new InMemoryPeer(Slots, faults: new FaultSchedule { DelayPerMillion = 300_000, Reorder = true });
}
