using Hecatonchire.Sponsor.Serving;

namespace Hecatonchire.Sponsor.Slabs;

/// <summary>A name in the trust file: what all demanders with its keys may have together. Used under the store's lock.</summary>
internal sealed class Account(string name)
{
    public string Name { get; } = name;

    /// <summary>What they may have borrowed; <see cref="long.MaxValue"/>: whatever is offered.</summary>
    public long QuotaBytes { get; set; } = long.MaxValue;

    public ServingShare Share { get; } = new();
}
