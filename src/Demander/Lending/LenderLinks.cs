namespace Hecatonchire.Lending;

/// <summary>The sponsors that a program borrows from, and its spill file. Any thread may ask; changes wait for nobody.</summary>
internal sealed class LenderLinks
{
    private readonly Lock _lock = new();
    private readonly List<LenderLink> _links = [];

    /// <summary>As they are now.</summary>
    public LenderLink[] Now()
    {
        lock (_lock)
        {
            return [.. _links];
        }
    }

    /// <summary>The one that has this number; null when none has.</summary>
    public LenderLink? Of(int sponsor) => Array.Find(Now(), link => link.Number == sponsor);

    public void Add(LenderLink link)
    {
        lock (_lock)
        {
            _links.Add(link);
        }
    }

    public void Remove(LenderLink link)
    {
        lock (_lock)
        {
            _ = _links.Remove(link);
        }
    }
}
