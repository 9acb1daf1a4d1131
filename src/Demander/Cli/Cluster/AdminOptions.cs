using System.CommandLine;
using System.CommandLine.Parsing;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Membership;
using Hecatonchire.Pager;

namespace Hecatonchire.Cli.Cluster;

/// <summary>Which sponsor is told what to offer, and the two keys for it: its public one to reach it, its admin key to be allowed to.</summary>
internal sealed class AdminOptions
{
    private const string AdminFile = "sponsor.admin";

    private static readonly string[] s_places =
    [
        Path.Combine("/var/lib/heca", AdminFile),
        Path.Combine(Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } xdg
            ? xdg
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state"), "heca", AdminFile),
    ];

    private readonly Argument<string> _sponsor = new("HOST:PORT") { Description = "The sponsor's control channel" };

    private readonly Option<string?> _key = new("--sponsor-key")
    {
        HelpName = "KEY|FILE",
        Description = $"The sponsor's public key, or the file that holds it [default: as `heca run`]",
    };

    private readonly Option<string?> _adminKey = new("--admin-key")
    {
        HelpName = "FILE",
        Description = $"The sponsor's {AdminFile}, which is beside its secret key [default: {string.Join(", ", s_places)}]",
    };

    private readonly Option<string[]> _etcd = new("--etcd")
    {
        HelpName = "URL",
        DefaultValueFactory = _ => [],
        Description = "Or the etcd that it is registered in, which has its key; may be repeated for the members of one etcd",
    };

    private readonly OwnKeyOption _ownKey = new();

    public void AddTo(Command command)
    {
        command.Add(_sponsor);
        command.Add(_key);
        command.Add(_ownKey.Option);
        command.Add(_etcd);
        command.Add(_adminKey);
    }

    /// <summary>Throws <see cref="CommandException"/>.</summary>
    public (SponsorEndpoint Sponsor, DemanderKey? OwnKey, byte[] AdminKey) Resolve(ParseResult parsed) =>
        (SponsorAddress.Resolve(parsed.GetValue(_sponsor)!, parsed.GetValue(_key) ?? FindKey(parsed.GetValue(_sponsor)!, parsed.GetValue(_etcd) ?? []), _sponsor.Name),
            _ownKey.Resolve(parsed), ReadAdminKey(parsed.GetValue(_adminKey)));

    private static string? FindKey(string sponsor, string[] urls)
    {
        if (urls.Length == 0)
        {
            return null;
        }

        EtcdReport etcd = EtcdReport.Ask(EtcdAddress.From(urls, out string problem) ?? throw new CommandException($"--etcd: {problem}", ExitStatus.Usage));
        return etcd.Sponsors.FirstOrDefault(found => $"{found.Host}:{found.Port}" == sponsor)?.PublicKey
            ?? throw new CommandException(etcd.Problem ?? $"sponsor {sponsor} is not registered in etcd {etcd.Etcd}: give its key with --sponsor-key", ExitStatus.Failed);
    }

    private static byte[] ReadAdminKey(string? given)
    {
        string path = given ?? s_places.FirstOrDefault(File.Exists)
            ?? throw new CommandException($"no admin key: give the sponsor's {AdminFile} with --admin-key FILE, or put it at {s_places[0]}", ExitStatus.Usage);
        string text;
        try
        {
            text = File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new CommandException($"--admin-key '{path}' cannot be read: {e.Message.TrimEnd('.')}", ExitStatus.Usage);
        }

        return AdminKey.Parse(text) ?? throw new CommandException($"--admin-key '{path}' holds no admin key (64 hexadecimal digits)", ExitStatus.Usage);
    }
}
