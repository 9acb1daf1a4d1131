namespace Hecatonchire.Membership;

/// <summary>A sponsor's part in etcd: its registration, the demanders that are known there, and the cluster that all of them are.</summary>
internal sealed class SponsorMembership : IDisposable
{
    private readonly EtcdStore _store;
    private readonly Registration _registration;
    private readonly PrefixWatch _watch;
    private readonly ClusterOfStore _cluster;

    /// <param name="address">Where etcd is; it need not answer now.</param>
    /// <param name="cluster">The cluster that the sponsor was told to be of; zeros: etcd's.</param>
    /// <param name="record">What the sponsor is now; asked by any thread.</param>
    /// <param name="lease">How long the registration outlives this process.</param>
    /// <param name="time">For leases that cannot be seen.</param>
    /// <param name="warn">Told in one line what an operator should know; by any thread.</param>
    public SponsorMembership(EtcdAddress address, Guid cluster, Func<SponsorRecord> record, TimeSpan lease, TimeProvider time, Action<string> warn)
    {
        _store = new EtcdStore(address);
        _cluster = new ClusterOfStore(_store, cluster, warn);
        Leases = new DemanderLeases(time, warn);
        _watch = new PrefixWatch(_store, DemanderRecord.Prefix, Leases, warn, _cluster.LearnAsync);
        _registration = new Registration(_store, record().Key, () => record().Encode(), lease, warn);
    }

    public DemanderLeases Leases { get; }

    /// <summary>Zeros until it is known.</summary>
    public Guid Cluster => _cluster.Id;

    /// <summary>Takes the sponsor out of etcd, where that answers.</summary>
    public void Dispose()
    {
        _registration.Dispose();
        _watch.Dispose();
        _store.Dispose();
    }
}
