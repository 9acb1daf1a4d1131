using Hecatonchire.Control.Messages;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Slabs;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Slabs;

/// <summary>Tokens, and what happens to demanders that fall silent.</summary>
public sealed class LeaseTests : IDisposable
{
    private const long MiB = 1L << 20;

    private static readonly Guid Alice = Guid.NewGuid();
    private static readonly Guid Bob = Guid.NewGuid();
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(1);

    private readonly ManualTime _time = new();
    private readonly SlabStoreOptions _options = new() { OfferedBytes = 256 * MiB, DemandersMax = 3 };
    private readonly SlabStore _store;

    public LeaseTests()
    {
        _store = new SlabStore(_options, _time);
        _store.Greet(Alice, "alice");
    }

    public void Dispose() => _store.Dispose();

    [Fact]
    public void A_token_works_once()
    {
        byte[] token = _store.MakeToken(Alice)!;
        Assert.Equal(32, token.Length);
        Assert.True(Redeem(token, Alice));
        Assert.False(Redeem(token, Alice));
    }

    [Fact]
    public void A_token_works_for_its_demander_only_and_a_wrong_try_does_not_use_it_up()
    {
        _store.Greet(Bob, "bob");
        byte[] token = _store.MakeToken(Alice)!;
        Assert.False(Redeem(token, Bob));
        Assert.False(Redeem(token, Guid.NewGuid()));
        Assert.False(Redeem(new byte[32], Alice));
        Assert.False(_store.TryRedeem(token.AsSpan(0, 31), WireId.ToBytes(Alice), out _));
        Assert.False(_store.TryRedeem(token, WireId.ToBytes(Alice).AsSpan(0, 15), out _));
        Assert.True(Redeem(token, Alice));
    }

    [Fact]
    public void A_token_expires()
    {
        byte[] inTime = _store.MakeToken(Alice)!;
        byte[] late = _store.MakeToken(Alice)!;
        _time.Advance(_options.TokenValid - Moment);
        Assert.True(Redeem(inTime, Alice));
        _time.Advance(Moment);
        Assert.False(Redeem(late, Alice));
    }

    [Fact]
    public void Tokens_are_bounded_and_the_oldest_gives_way()
    {
        byte[][] tokens = [.. Enumerable.Range(0, _options.TokensPerDemanderMax + 1).Select(_ => _store.MakeToken(Alice)!)];
        Assert.False(Redeem(tokens[0], Alice));
        Assert.All(tokens[1..], token => Assert.True(Redeem(token, Alice)));
    }

    [Fact]
    public void A_silent_demander_is_gone_after_its_time_and_not_before()
    {
        Assert.Null(_store.TryAllocate(Alice, 128 * MiB, out _));
        byte[] token = _store.MakeToken(Alice)!;
        _time.Advance(_options.GoneAfter);
        Assert.Empty(_store.SweepGone());
        Assert.True(_store.Touch(Alice));
        _time.Advance(_options.GoneAfter);
        Assert.Empty(_store.SweepGone());
        Assert.Equal(128 * MiB, _store.LentBytes);

        _time.Advance(Moment);
        Assert.Equal(Alice, Assert.Single(_store.SweepGone()).Id);
        Assert.Equal(0, _store.LentBytes);
        Assert.Equal(0, _store.DemanderCount);
        Assert.False(_store.Touch(Alice));
        Assert.False(Redeem(token, Alice));
        Assert.Null(_store.MakeToken(Alice));
        Assert.Equal(ErrorCode.HelloFirst, _store.TryAllocate(Alice, 64 * MiB, out _)?.Code);
    }

    [Fact]
    public void An_open_data_connection_keeps_a_silent_demander()
    {
        Assert.Null(_store.TryAllocate(Alice, 64 * MiB, out SlabEntry slab));
        DemanderHandle alice = SlabStoreTests.Redeem(_store, Alice);
        _store.CountConnection(alice, 1);
        _store.CountConnection(alice, 1);
        _time.Advance(10 * _options.GoneAfter);
        Assert.Empty(_store.SweepGone());
        _store.CountConnection(alice, -1);
        Assert.Empty(_store.SweepGone());
        Assert.True(_store.TryFind(alice, slab.Slab, out _));
        Assert.Equal(1, _store.DataConnections);
        _store.CountConnection(alice, -1);
        Assert.Single(_store.SweepGone());
        Assert.False(_store.TryFind(alice, slab.Slab, out _));
    }

    [Fact]
    public void Between_its_token_and_its_connection_a_demander_is_not_swept()
    {
        Assert.Null(_store.TryAllocate(Alice, 64 * MiB, out SlabEntry slab));
        _time.Advance(_options.GoneAfter - Moment);
        byte[] token = _store.MakeToken(Alice)!;
        _time.Advance(2 * Moment);
        Assert.True(_store.TryRedeem(token, WireId.ToBytes(Alice), out DemanderHandle alice));
        Assert.Empty(_store.SweepGone());
        _store.CountConnection(alice, 1);
        Assert.True(_store.TryFind(alice, slab.Slab, out _));
    }

    [Fact]
    public void A_stale_handle_never_means_the_next_demander_in_its_place()
    {
        DemanderHandle alice = SlabStoreTests.Redeem(_store, Alice);
        _time.Advance(_options.GoneAfter + Moment);
        Assert.Single(_store.SweepGone());
        Assert.Null(_store.Greet(Bob, "bob"));
        Assert.Null(_store.TryAllocate(Bob, 64 * MiB, out SlabEntry slab));
        DemanderHandle bob = SlabStoreTests.Redeem(_store, Bob);
        Assert.NotEqual(alice, bob);
        Assert.False(_store.TryFind(alice, slab.Slab, out _));
        _store.CountConnection(alice, 1);
        Assert.Equal(0, _store.DataConnections);
    }

    [Fact]
    public void Demanders_are_bounded_and_a_known_one_may_greet_again()
    {
        Assert.Null(_store.Greet(Bob, "bob"));
        Assert.Null(_store.Greet(Guid.NewGuid(), "carol"));
        Assert.Equal(ErrorCode.Full, _store.Greet(Guid.NewGuid(), "dave")?.Code);
        Assert.Null(_store.Greet(Bob, "bob again"));
        Assert.Contains((Bob, "bob again", 0L), _store.LentByDemander());
    }

    private bool Redeem(byte[] token, Guid demander) => _store.TryRedeem(token, WireId.ToBytes(demander), out _);
}
