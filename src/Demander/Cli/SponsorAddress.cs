using System.Globalization;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Pager;

namespace Hecatonchire.Cli;

/// <summary>The values of `--sponsor HOST:PORT` and `--sponsor-key Z85|FILE`.</summary>
internal static class SponsorAddress
{
    public const string KeyEnvironment = "HECA_SPONSOR_KEY";

    private const string PublicFile = "sponsor.public";

    /// <summary>Throws <see cref="CommandException"/> with one line where the address is none or no key is found.</summary>
    public static SponsorEndpoint Resolve(string hostPort, string? key, string what = "--sponsor")
    {
        int colon = hostPort.LastIndexOf(':');
        string host = colon < 0 ? "" : hostPort[..colon];
        if (host.StartsWith('[') && host.EndsWith(']'))
        {
            host = host[1..^1];
        }

        if (host.Length == 0 || !ushort.TryParse(hostPort.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) || port == 0)
        {
            throw new CommandException(
                $"{what} '{hostPort}': write HOST:PORT with the port of the sponsor's control channel, such as 10.0.0.2:7400", ExitStatus.Usage);
        }

        return new SponsorEndpoint(host, port, ResolveKey(key));
    }

    private static string ResolveKey(string? given)
    {
        if (given is not null)
        {
            return ReadKey(given, "--sponsor-key", ExitStatus.Usage);
        }

        if (Environment.GetEnvironmentVariable(KeyEnvironment) is { Length: > 0 } fromEnvironment)
        {
            return ReadKey(fromEnvironment, KeyEnvironment, ExitStatus.Usage);
        }

        string[] places = [Path.Combine("/var/lib/heca", PublicFile), Path.Combine(StateDirectory(), "heca", PublicFile)];
        string? found = places.FirstOrDefault(File.Exists);
        return found is not null
            ? ReadKey(found, "the sponsor's key", ExitStatus.Failed)
            : throw new CommandException(
                $"no key of the sponsor: give its {PublicFile} with --sponsor-key FILE or {KeyEnvironment}, or put it at {places[0]}", ExitStatus.Usage);
    }

    private static string ReadKey(string keyOrFile, string what, int status)
    {
        string text = keyOrFile;
        if (!CurveKeyPair.IsKey(text))
        {
            try
            {
                text = File.ReadAllText(keyOrFile).Trim();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
            {
                throw new CommandException($"{what} '{keyOrFile}' is neither a key (40 characters of Z85) nor a file that can be read", status);
            }
        }

        return CurveKeyPair.IsKey(text)
            ? text
            : throw new CommandException($"{what} '{keyOrFile}' holds no public key (40 characters of Z85): copy {PublicFile} from the sponsor", status);
    }

    private static string StateDirectory() => Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } xdg
        ? xdg
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state");
}
