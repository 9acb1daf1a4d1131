using System.Globalization;
using Hecatonchire.Interop;

namespace Hecatonchire.Service;

/// <summary>
/// Whose programs the host's pager serves: root's and those of the user it runs as, and who is named. A pager that is not root's reaches its own user's
/// programs only, since the kernel lets it see no others.
/// </summary>
internal sealed class ServiceUsers
{
    private readonly HashSet<uint> _users = [0, Libc.EffectiveUser()];
    private readonly HashSet<uint> _groups = [];
    private bool _everybody;

    /// <summary>Adds a user's name or number, a group as @GROUP, or `all`. False when there is none of that name.</summary>
    public bool TryAdd(string name)
    {
        if (name == "all")
        {
            return _everybody = true;
        }

        bool isGroup = name.StartsWith('@');
        string bare = isGroup ? name[1..] : name;
        uint? found = uint.TryParse(bare, NumberStyles.None, CultureInfo.InvariantCulture, out uint number) ? number
            : bare.Length == 0 ? null
            : isGroup ? Accounts.FindGroup(bare) : Accounts.FindUser(bare);
        return found is { } id && ((isGroup ? _groups : _users).Add(id) || true);
    }

    public bool Allows(in PeerCredentials peer, IReadOnlyList<uint> groups) =>
        _everybody || _users.Contains(peer.User) || _groups.Contains(peer.Group) || groups.Any(_groups.Contains);
}
