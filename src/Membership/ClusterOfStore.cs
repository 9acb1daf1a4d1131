namespace Hecatonchire.Membership;

/// <summary>
/// The cluster that somebody belongs to: what it was told, else the one that its etcd is the etcd of, learned each time that it is connected to. An etcd that has come back empty is given the
/// id that it had by whoever is first, and where that was a newcomer with a new one, all others take that.
/// </summary>
internal sealed class ClusterOfStore(EtcdStore store, Guid told, Action<string> warn)
{
    private object? _id = told == Guid.Empty ? null : told;
    private bool _isWarned;

    /// <summary>Zeros until it is known.</summary>
    public Guid Id => Volatile.Read(ref _id) is Guid id ? id : Guid.Empty;

    /// <summary>Throws <see cref="EtcdException"/> where etcd does not answer. What is no id there is told once, and is none.</summary>
    public async Task LearnAsync(CancellationToken stop)
    {
        if (told != Guid.Empty)
        {
            return;
        }

        try
        {
            Volatile.Write(ref _id, await ClusterId.FetchAsync(store, Id, stop).ConfigureAwait(false));
        }
        catch (EtcdException e) when (e.IsMalformed)
        {
            if (!_isWarned)
            {
                _isWarned = true;
                warn($"{e.Message}: sponsors of any cluster are taken");
            }
        }
    }
}
