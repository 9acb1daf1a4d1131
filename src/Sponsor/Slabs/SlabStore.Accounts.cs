using Hecatonchire.Control.Keys;
using Hecatonchire.Sponsor.Serving;

namespace Hecatonchire.Sponsor.Slabs;

/// <content>Whose demanders are, where the sponsor has a trust file. The control thread calls these.</content>
internal sealed partial class SlabStore
{
    private readonly Dictionary<string, Account> _accounts = new(StringComparer.Ordinal);

    /// <summary>What can be lent to a demander now: what is free, and where its key has a quota no more than is left of that.</summary>
    public long FreeBytesFor(Guid id)
    {
        lock (_gate)
        {
            return _byId.TryGetValue(id, out Demander? demander) && demander.Account is { } account
                ? Math.Clamp(account.QuotaBytes - LentTo(account), 0, FreeBytes)
                : FreeBytes;
        }
    }

    /// <summary>
    /// Looks anew at whose key is trusted: null, or one line that says why not, and the key's entry. Ends the data connections of those who are not, and returns them; what they have stays until they
    /// count as gone, so that a key that was revoked by mistake can be trusted again.
    /// </summary>
    public IReadOnlyList<Demander> CutOff(Distrust distrust)
    {
        List<Demander>? cut = null;
        lock (_gate)
        {
            foreach (Demander demander in _byId.Values)
            {
                if (distrust(demander.Key, out TrustEntry? who) is null && IsOf(demander, who))
                {
                    Admit(demander, demander.Key, who);
                }
                else if (!demander.IsCutOff)
                {
                    demander.IsCutOff = true;
                    (cut ??= []).Add(demander);
                }
            }
        }

        cut?.ForEach(demander => Reset(demander.Id));
        return cut ?? [];
    }

    public ServingShare ShareOf(DemanderHandle demander) => At(demander) is { } known ? known.Account?.Share ?? known.Share : new ServingShare();

    // Where nobody had a name before, whoever shows that he knows the id gives it his.
    private static bool IsOf(Demander demander, TrustEntry? who) => demander.Account is null || who is null || demander.Account.Name == who.Name;

    private void Admit(Demander demander, string? key, TrustEntry? who)
    {
        demander.Key = key;
        demander.IsCutOff = false;
        if (who is null)
        {
            return;
        }

        if (!_accounts.TryGetValue(who.Name, out Account? account))
        {
            account = _accounts[who.Name] = new Account(who.Name);
        }

        account.QuotaBytes = who.Quota?.Bytes ?? long.MaxValue;
        account.Share.Weight = who.Share;
        demander.Account = account;
    }

    private long LentTo(Account account) => _byId.Values.Where(demander => demander.Account == account).Sum(demander => demander.LentBytes);

    private static long Share(long excess, long has, long lent) => excess > 0 && lent > 0 ? (long)((((Int128)excess * has) + lent - 1) / lent) : 0;
}

/// <summary>Why a key is not served; null where it is, with its entry if there is a trust file.</summary>
internal delegate string? Distrust(string? key, out TrustEntry? who);
