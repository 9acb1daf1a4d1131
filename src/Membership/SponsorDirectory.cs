namespace Hecatonchire.Membership;

/// <summary>The sponsors that are registered, as last seen: while etcd cannot be seen they stay, for nothing says that they have gone.</summary>
internal sealed class SponsorDirectory(Action<string> warn) : IPrefixSink
{
    private readonly Dictionary<string, (SponsorRecord Record, long Revision)> _byKey = [];
    private volatile IReadOnlyList<SponsorRecord> _sponsors = [];
    private volatile bool _isLive;

    /// <summary>Each once by where it is reached: of one that was started again, the newer. In the order of their ids.</summary>
    public IReadOnlyList<SponsorRecord> Sponsors => _sponsors;

    /// <summary>True while etcd can be seen: who is not here is not registered.</summary>
    public bool IsLive => _isLive;

    public void Reset(IReadOnlyList<EtcdEntry> entries)
    {
        _byKey.Clear();
        foreach (EtcdEntry entry in entries)
        {
            Take(entry);
        }

        Publish();
        _isLive = true;
    }

    public void Put(EtcdEntry entry)
    {
        Take(entry);
        Publish();
    }

    public void Delete(string key)
    {
        _ = _byKey.Remove(key);
        Publish();
    }

    public void Lose() => _isLive = false;

    private void Take(EtcdEntry entry)
    {
        if (SponsorRecord.Parse(entry.Value, out string problem) is { } record && record.Key == entry.Key)
        {
            _byKey[entry.Key] = (record, entry.Revision);
            return;
        }

        _ = _byKey.Remove(entry.Key);
        warn($"etcd's key {entry.Key} is ignored: {(problem.Length > 0 ? problem : "it is under another's name")}");
    }

    private void Publish() => _sponsors =
    [
        .. _byKey.Values
            .OrderByDescending(sponsor => sponsor.Revision)
            .DistinctBy(sponsor => (sponsor.Record.Addresses[0], sponsor.Record.Port))
            .Select(sponsor => sponsor.Record)
            .OrderBy(sponsor => sponsor.Id),
    ];
}
