using Hecatonchire.Transport;
using Hecatonchire.Transport.Faulty;
using Xunit;

namespace Hecatonchire.Tests.Transport;

public sealed unsafe class FaultyDataConnectionTests
{
    private const int Requests = 200;

    private static List<DataCompletion> ReadAll(FaultSchedule schedule, PageBuffer buffer, out bool broken)
    {
        using InMemoryPeer peer = new(Requests, faults: schedule);
        for (int i = 0; i < Requests; i++)
        {
            Assert.True(peer.Connection.TryPostRead((ulong)i, peer.Slab, (uint)i, 1, buffer[i]));
        }

        peer.Connection.Submit();
        List<DataCompletion> all = [];
        DataCompletion[] some = new DataCompletion[16];
        for (int polls = 0; all.Count < Requests; polls++)
        {
            Assert.True(polls < 10_000, $"only {all.Count} requests completed");
            all.AddRange(some.AsSpan(0, peer.Connection.Poll(some)));
        }

        broken = peer.Connection.IsBroken;
        Assert.Equal(Requests, all.Select(completion => completion.Cookie).Distinct().Count());
        return all;
    }

    [Fact]
    public void One_seed_makes_one_run()
    {
        using PageBuffer buffer = new(Requests);
        FaultSchedule schedule = new() { Seed = 11, DelayPerMillion = 500_000, Reorder = true };
        ulong[] first = [.. ReadAll(schedule, buffer, out _).Select(completion => completion.Cookie)];
        ulong[] second = [.. ReadAll(schedule, buffer, out _).Select(completion => completion.Cookie)];
        ulong[] other = [.. ReadAll(schedule with { Seed = 12 }, buffer, out _).Select(completion => completion.Cookie)];
        Assert.Equal(first, second);
        Assert.NotEqual(first, other);
    }

    [Fact]
    public void A_drop_disconnects_what_is_in_flight()
    {
        using PageBuffer buffer = new(Requests);
        List<DataCompletion> all = ReadAll(new FaultSchedule { DropAtRequest = 50 }, buffer, out bool broken);
        Assert.True(broken);
        Assert.Equal(49, all.Count(completion => completion.Status == DataStatus.Done));
        Assert.Equal(Requests - 49, all.Count(completion => completion.Status == DataStatus.Disconnected));
    }

    [Fact]
    public void A_refusal_ends_the_connection()
    {
        using PageBuffer buffer = new(Requests);
        List<DataCompletion> all = ReadAll(new FaultSchedule { RefusePerMillion = 50_000 }, buffer, out bool broken);
        Assert.True(broken);
        Assert.Single(all, completion => completion.Status == DataStatus.Refused);
    }

    [Fact]
    public void Corruption_changes_what_was_read()
    {
        using PageBuffer buffer = new(Requests);
        List<DataCompletion> all = ReadAll(new FaultSchedule { CorruptPerMillion = 100_000 }, buffer, out bool broken);
        Assert.False(broken);
        Assert.All(all, completion => Assert.Equal(DataStatus.Done, completion.Status));
        int changed = Enumerable.Range(0, Requests).Count(i => buffer.Span(i, 1).ContainsAnyExcept((byte)0));
        Assert.InRange(changed, 1, Requests / 2);
    }
}
