namespace Hecatonchire.Membership;

/// <summary>
/// Which demanders etcd knows of, as a sponsor has seen it last. A demander that etcd knows of may live, or be gone on with by another pager, whatever the sponsor hears of it: what it
/// was lent is kept for it. That etcd does not know of one says nothing: that is judged by the sponsor, as without etcd.
/// </summary>
internal sealed class DemanderLeases(TimeProvider time, Action<string> warn) : IPrefixSink
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Known> _known = [];
    private bool _isLive;

    /// <summary>A demander; of one that etcd did not say has gone and does not have any more, and of all while etcd cannot be seen, until when it counts.</summary>
    private sealed class Known(TimeSpan lease)
    {
        public TimeSpan Lease => lease;

        public long SeenAt { get; set; }

        public bool IsListed { get; set; } = true;
    }

    /// <summary>True while a demander's lease lives, as far as is known. From any thread.</summary>
    public bool Owns(Guid demander)
    {
        lock (_gate)
        {
            // While etcd cannot be seen a lease lasts as long as it would have, had the demander died when it was seen last.
            return _known.TryGetValue(DemanderRecord.KeyOf(DemanderRecord.OwnerOf(demander)), out Known? known)
                && ((_isLive && known.IsListed) || time.GetElapsedTime(known.SeenAt) < known.Lease);
        }
    }

    public void Reset(IReadOnlyList<EtcdEntry> entries)
    {
        lock (_gate)
        {
            // Nobody has seen those end that are missing now: etcd may have lost them, and they come again.
            foreach (Known known in _known.Values)
            {
                known.IsListed = false;
            }

            foreach ((string key, Known known) in _known.ToArray())
            {
                if (time.GetElapsedTime(known.SeenAt) >= known.Lease)
                {
                    _ = _known.Remove(key);
                }
            }

            _isLive = true;
        }

        foreach (EtcdEntry entry in entries)
        {
            Put(entry);
        }
    }

    public void Put(EtcdEntry entry)
    {
        if (DemanderRecord.Parse(entry.Value, out string problem) is not { } record || record.Key != entry.Key)
        {
            warn($"etcd's key {entry.Key} is ignored: {(problem.Length > 0 ? problem : "it is under another's name")}");
            return;
        }

        lock (_gate)
        {
            _known[entry.Key] = new Known(record.Lease) { SeenAt = time.GetTimestamp() };
        }
    }

    public void Delete(string key)
    {
        lock (_gate)
        {
            _ = _known.Remove(key);
        }
    }

    public void Lose()
    {
        lock (_gate)
        {
            _isLive = false;
            foreach (Known known in _known.Values.Where(known => known.IsListed))
            {
                known.SeenAt = time.GetTimestamp();
            }
        }
    }
}
