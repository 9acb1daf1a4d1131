using Hecatonchire.Membership;
using Hecatonchire.Sponsor.Slabs;
using Xunit;

namespace Hecatonchire.Tests.Slabs;

/// <summary>
/// The invariant: what was lent to a demander that lives, or that another pager may go on with, is never freed, whatever the sponsor hears or etcd has become. And what was lent to one
/// that has died comes back.
/// </summary>
public sealed class DemanderLeaseTests : IDisposable
{
    private const long Slab = 64L << 20;

    private static readonly TimeSpan s_lease = TimeSpan.FromSeconds(300);
    private static readonly Guid s_demander = Guid.NewGuid();

    private readonly ManualTime _time = new();
    private readonly List<string> _told = [];
    private readonly SlabStoreOptions _options = new() { OfferedBytes = 4 * Slab, GoneAfter = TimeSpan.FromSeconds(30) };
    private readonly DemanderLeases _leases;
    private readonly SlabStore _store;

    public DemanderLeaseTests()
    {
        _leases = new DemanderLeases(_time, _told.Add);
        _store = new SlabStore(_options, _time) { IsOwned = _leases.Owns };
        Assert.Null(_store.Greet(s_demander, "alice"));
        Assert.Null(_store.TryAllocate(s_demander, Slab, out _));
    }

    public void Dispose() => _store.Dispose();

    [Fact]
    public void Without_a_lease_a_silent_demander_is_freed_after_the_gone_after_time()
    {
        _leases.Reset([]);
        Pass(29);
        Assert.Equal(Slab, _store.LentBytes);
        Pass(2);
        Assert.Equal(0, _store.LentBytes);
    }

    [Fact]
    public void A_demander_that_etcd_knows_of_keeps_what_it_has_and_loses_it_when_its_lease_ends()
    {
        _leases.Reset([Entry(s_demander)]);
        Pass(3600);
        Assert.Equal(Slab, _store.LentBytes);
        _leases.Delete(Entry(s_demander).Key);
        Pass(1);
        Assert.Equal(0, _store.LentBytes);
    }

    [Fact]
    public void A_demander_whose_lease_has_ended_and_that_speaks_keeps_what_it_has()
    {
        _leases.Reset([Entry(s_demander)]);
        Pass(3600);
        Assert.True(_store.Touch(s_demander));
        _leases.Delete(Entry(s_demander).Key);
        Pass(29);
        Assert.Equal(Slab, _store.LentBytes);
    }

    [Fact]
    public void While_etcd_cannot_be_seen_a_lease_lasts_as_long_as_if_the_demander_had_just_died()
    {
        _leases.Reset([Entry(s_demander)]);
        Pass(1000);
        _leases.Lose();
        Pass(299);
        Assert.Equal(Slab, _store.LentBytes);
        Pass(2);
        Assert.Equal(0, _store.LentBytes);
    }

    [Fact]
    public void An_etcd_that_comes_back_empty_frees_nothing_before_the_lease_would_have_ended()
    {
        _leases.Reset([Entry(s_demander)]);
        Pass(1000);
        _leases.Lose();
        Pass(60);
        _leases.Reset([]);
        Pass(239);
        Assert.Equal(Slab, _store.LentBytes);
        Pass(2);
        Assert.Equal(0, _store.LentBytes);
    }

    [Fact]
    public void A_demander_that_registers_again_in_an_etcd_that_came_back_empty_is_kept()
    {
        _leases.Reset([Entry(s_demander)]);
        _leases.Lose();
        Pass(60);
        _leases.Reset([]);
        _leases.Put(Entry(s_demander));
        Pass(3600);
        Assert.Equal(Slab, _store.LentBytes);

        // Lost from sight twice, it is kept from the second time on.
        _leases.Lose();
        Pass(200);
        _leases.Reset([Entry(s_demander)]);
        _leases.Lose();
        Pass(299);
        Assert.Equal(Slab, _store.LentBytes);
    }

    [Fact]
    public void Anothers_lease_and_a_malformed_one_keep_nothing_and_the_malformed_one_is_told()
    {
        _leases.Reset([Entry(Guid.NewGuid()), Entry(s_demander) with { Value = "{}"u8.ToArray() }]);
        Assert.Matches("^etcd's key demanders/[0-9a-f]{32} is ignored: ", Assert.Single(_told));
        Pass(31);
        Assert.Equal(0, _store.LentBytes);
    }

    private void Pass(int seconds)
    {
        _time.Advance(TimeSpan.FromSeconds(seconds));
        _ = _store.SweepGone();
    }

    private static EtcdEntry Entry(Guid demander)
    {
        var record = new DemanderRecord { Owner = DemanderRecord.OwnerOf(demander), Name = "host-1", Lease = s_lease };
        return new EtcdEntry(record.Key, record.Encode(), 1, 1);
    }
}
