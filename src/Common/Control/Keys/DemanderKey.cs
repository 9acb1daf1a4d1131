using Hecatonchire.Control.ZeroMq;

namespace Hecatonchire.Control.Keys;

/// <summary>
/// The key pair that a demander shows to sponsors: the secret half in a file, which is read anew when a sponsor does not trust the key that was read before, so that
/// keys change under a running program.
/// </summary>
internal sealed class DemanderKey(string path)
{
    public const string SecretFile = "demander.secret";
    public const string PublicFile = "demander.public";

    public const string Remedy = "make one with heca key new";

    public string Path => path;

    /// <summary>Where a user's key is unless he says otherwise: /etc/heca for root, else heca in his configuration folder.</summary>
    public static string DefaultPath => System.IO.Path.Combine(
        Environment.IsPrivilegedProcess ? "/etc/heca"
        : System.IO.Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CONFIG_HOME") is { Length: > 0 } xdg
                ? xdg
                : System.IO.Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".config"),
            "heca"),
        SecretFile);

    /// <summary>The default one; null where this user has none: a pair is then made for each connection.</summary>
    public static DemanderKey? Own => File.Exists(DefaultPath) ? new DemanderKey(DefaultPath) : null;

    /// <summary>Reads the file. Throws <see cref="IOException"/> with one line.</summary>
    public CurveKeyPair Load() => File.Exists(path)
        ? KeyFile.ReadPair(path, Remedy)
        : throw new IOException($"there is no key {path}: {Remedy}, or give another with --key");
}
