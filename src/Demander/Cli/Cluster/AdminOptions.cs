using System.CommandLine;
using System.CommandLine.Parsing;
using Hecatonchire.Control;
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

    public void AddTo(Command command)
    {
        command.Add(_sponsor);
        command.Add(_key);
        command.Add(_adminKey);
    }

    /// <summary>Throws <see cref="CommandException"/>.</summary>
    public (SponsorEndpoint Sponsor, byte[] AdminKey) Resolve(ParseResult parsed) =>
        (SponsorAddress.Resolve(parsed.GetValue(_sponsor)!, parsed.GetValue(_key), _sponsor.Name), ReadAdminKey(parsed.GetValue(_adminKey)));

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
