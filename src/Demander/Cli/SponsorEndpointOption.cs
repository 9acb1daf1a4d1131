using System.CommandLine;
using System.Globalization;
using Hecatonchire.Pager;

namespace Hecatonchire.Cli;

/// <summary>
/// Which sponsor: <c>--sponsor HOST:PORT</c> with the key that proves it, or <c>--embedded</c>, one of our own on loopback.
/// </summary>
internal sealed class SponsorEndpointOption
{
    public const string KeyEnvironment = "HECA_SPONSOR_KEY";

    /// <summary>Z85 text of a CURVE key.</summary>
    private const int KeyLength = 40;

    private const string KeyFileName = "sponsor.public";

    private readonly Option<string?> _sponsor = new("--sponsor") { HelpName = "HOST:PORT", Description = "The sponsor's control channel" };

    private readonly Option<string?> _key = new("--sponsor-key")
    {
        HelpName = "KEY|FILE",
        Description = $"The sponsor's public key, or a file with it [default: {KeyEnvironment}, else {KeyFileName} in /var/lib/heca or ~/.local/state/heca]",
    };

    private readonly Option<bool> _embedded = new("--embedded") { Description = "Start a sponsor on this host for this run" };

    public void AddTo(Command command)
    {
        command.Add(_sponsor);
        command.Add(_key);
        command.Add(_embedded);
    }

    /// <summary>The sponsor named, or null for an embedded one. Throws <see cref="CommandException"/> (usage).</summary>
    public SponsorEndpoint? Resolve(ParseResult parsed)
    {
        string? address = parsed.GetValue(_sponsor);
        string? key = parsed.GetValue(_key);
        if (parsed.GetValue(_embedded))
        {
            return address is null && key is null
                ? null
                : throw Usage("--embedded starts a sponsor of its own: give either it or --sponsor");
        }

        if (address is null)
        {
            throw Usage("no sponsor: give --sponsor HOST:PORT, or --embedded to start one on this host");
        }

        int colon = address.LastIndexOf(':');
        string host = colon < 0 ? "" : address[..colon].Trim('[', ']');
        if (host.Length == 0
            || !ushort.TryParse(address.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) || port == 0)
        {
            throw Usage($"--sponsor: '{address}' is not HOST:PORT with a port from 1 to 65535");
        }

        return new SponsorEndpoint(host, port, Key(key));
    }

    private static string Key(string? given)
    {
        given ??= Environment.GetEnvironmentVariable(KeyEnvironment) is { Length: > 0 } text ? text : null;
        if (given is not null)
        {
            // A path first: no file in reach is likely to have a key for its name.
            return File.Exists(given) ? Read(given) : IsKey(given) ? given
                : throw Usage($"--sponsor-key: '{given}' is neither a file nor a key of {KeyLength} characters");
        }

        string[] places =
        [
            Path.Combine("/var/lib/heca", KeyFileName),
            Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state", "heca", KeyFileName),
        ];
        return places.FirstOrDefault(File.Exists) is { } found
            ? Read(found)
            : throw Usage($"no key for the sponsor: give --sponsor-key, or copy its sponsor.public to {string.Join(" or ", places)}");
    }

    private static string Read(string path)
    {
        try
        {
            string text = File.ReadAllText(path).Trim();
            return IsKey(text) ? text : throw Usage($"--sponsor-key: {path} does not hold a key of {KeyLength} characters");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Usage($"--sponsor-key: {e.Message}");
        }
    }

    private static bool IsKey(string text) => text.Length == KeyLength && Control.ZeroMq.CurveKeyPair.IsKey(text);

    private static CommandException Usage(string message) => new(CommandException.Usage, message);
}
