namespace Hecatonchire.Membership;

/// <summary>A demander's part in etcd: the sponsors that are registered there, the cluster that they are, and its own leases.</summary>
internal sealed class DemanderMembership : IDisposable
{
    private readonly EtcdStore _store;
    private readonly SponsorDirectory _directory;
    private readonly PrefixWatch _watch;
    private readonly ClusterOfStore _cluster;
    private readonly Action<string> _warn;
    private readonly List<Registration> _owned = [];

    /// <param name="address">Where etcd is; it need not answer now.</param>
    /// <param name="cluster">The cluster that the demander was told to be of; zeros: etcd's.</param>
    /// <param name="warn">Told in one line what an operator should know; by any thread.</param>
    /// <param name="tellState">Told when etcd is not to be seen, and when it is again.</param>
    public DemanderMembership(EtcdAddress address, Guid cluster, Action<string> warn, Action<string> tellState)
    {
        _warn = warn;
        _store = new EtcdStore(address);
        _cluster = new ClusterOfStore(_store, cluster, warn);
        _directory = new SponsorDirectory(warn);
        _watch = new PrefixWatch(_store, SponsorRecord.Prefix, _directory, tellState, _cluster.LearnAsync);
    }

    /// <summary>As last seen.</summary>
    public IReadOnlyList<SponsorRecord> Sponsors => _directory.Sponsors;

    /// <summary>True while etcd can be seen.</summary>
    public bool IsLive => _directory.IsLive;

    /// <summary>Why etcd cannot be seen; null while it can.</summary>
    public string? Problem => _watch.Problem;

    /// <summary>Zeros until it is known.</summary>
    public Guid Cluster => _cluster.Id;

    /// <summary>Waits until it is known which sponsors there are. False when that takes longer, or, without patience, when etcd did not answer once.</summary>
    public bool WaitForFirst(TimeSpan time, bool isPatient) => _watch.WaitForFirst(time, isPatient);

    /// <summary>From now until it ends, and for the lease's time after this process has died, sponsors keep what they have lent to the demander.</summary>
    public Registration Own(Guid demander, string name, TimeSpan lease)
    {
        var record = new DemanderRecord { Owner = DemanderRecord.OwnerOf(demander), Name = name, Lease = lease };
        var registration = new Registration(_store, record.Key, record.Encode, lease, _warn);
        lock (_owned)
        {
            _ = _owned.RemoveAll(static other => other.HasEnded);
            _owned.Add(registration);
        }

        return registration;
    }

    /// <summary>What has not ended of that which <see cref="Own"/> has made goes with its lease.</summary>
    public void Dispose()
    {
        lock (_owned)
        {
            _owned.ForEach(static registration => registration.End(releases: false));
        }

        _watch.Dispose();
        _store.Dispose();
    }
}
