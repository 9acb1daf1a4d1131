using System.Text;

namespace Hecatonchire.Membership;

/// <summary>Which cluster a sponsor belongs to: 128 bits, written as 32 hexadecimal digits. Those that share an etcd, and a prefix in it, are one: the first makes its id.</summary>
internal static class ClusterId
{
    public const string Rule = "must be 32 hexadecimal digits, not all of them 0";

    public static bool TryParse(string? text, out Guid id) =>
        (Guid.TryParseExact(text, "N", out id) || Guid.TryParseExact(text, "D", out id)) && id != Guid.Empty;

    public static string Format(Guid id) => id.ToString("N");

    /// <summary>
    /// The id that is kept in an etcd; if there is none, the one that is proposed from now on, or a new one. Throws <see cref="EtcdException"/>, also where what is there is no id.
    /// </summary>
    public static async Task<Guid> FetchAsync(EtcdStore store, Guid proposed, CancellationToken stop)
    {
        byte[] kept = await store.CreateAsync("cluster", Encoding.ASCII.GetBytes(Format(proposed == Guid.Empty ? Guid.NewGuid() : proposed)), stop).ConfigureAwait(false);
        return kept.Length <= 64 && TryParse(Encoding.ASCII.GetString(kept).Trim(), out Guid id)
            ? id
            : throw new EtcdException($"etcd's key {store.Prefix}/cluster {Rule}") { IsMalformed = true };
    }
}
