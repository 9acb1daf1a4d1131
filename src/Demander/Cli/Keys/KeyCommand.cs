using System.CommandLine;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.ZeroMq;

namespace Hecatonchire.Cli.Keys;

/// <summary>`heca key`: a demander's own key, and on a sponsor's host the keys that it trusts.</summary>
internal static class KeyCommand
{
    private const string NewDetails =
        "The secret half is for its owner only (mode 600); the public half, beside it as .public, is what a sponsor's operator is given for `heca key trust`.\n"
        + "--replace makes another in its place. Programs that run go on with the key that they have until a sponsor does not trust that any more, and read\n"
        + "the file anew then: so have the new one trusted beside the old one first, and revoke the old one after that.\n\n"
        + "Examples:\n"
        + "  heca key new\n"
        + "  heca key new --replace --key /etc/heca/demander.secret\n";

    private static readonly Option<string?> s_path = new("--key")
    {
        HelpName = "FILE",
        Description = $"The file of the secret key [default: {DemanderKey.DefaultPath}]",
    };

    public static Command Create() => new("key", "Make and show this demander's key; say on a sponsor's host which keys it trusts")
    {
        New(), Show(), TrustCommands.Trust(), TrustCommands.Revoke(),
    };

    /// <summary>Beside the secret key.</summary>
    private static string PublicPath(string secret) => Path.ChangeExtension(secret, ".public");

    private static DetailedCommand New()
    {
        var replace = new Option<bool>("--replace") { Description = "Where there is a key already, put another in its place" };
        var command = new DetailedCommand("new", "Make a key pair for this demander", NewDetails) { s_path, replace };
        command.SetAction(parsed =>
        {
            string path = Path.GetFullPath(parsed.GetValue(s_path) ?? DemanderKey.DefaultPath);
            if (File.Exists(path) && !parsed.GetValue(replace))
            {
                throw new CommandException($"there is a key {path} already: --replace puts another in its place, heca key show shows it", ExitStatus.Failed);
            }

            CurveKeyPair keys = CurveKeyPair.Create();
            const string Remedy = "give --key a file that this user may write";
            try
            {
                _ = Directory.CreateDirectory(Path.GetDirectoryName(path)!, KeyFile.DirectoryMode);
                KeyFile.Write(path, keys.SecretZ85, KeyFile.SecretMode, overwrite: true, Remedy);
                KeyFile.Write(PublicPath(path), keys.PublicZ85, KeyFile.PublicMode, overwrite: true, Remedy);
            }
            catch (Exception e) when (e is UnauthorizedAccessException or DirectoryNotFoundException)
            {
                throw new CommandException($"cannot write {path}: {e.Message.TrimEnd('.')}; {Remedy}", ExitStatus.Failed);
            }

            TextWriter output = parsed.InvocationConfiguration.Output;
            output.WriteLine(keys.PublicZ85);
            output.WriteLine($"{path} has its secret half; on a sponsor: heca key trust NAME '{keys.PublicZ85}'");
            return ExitStatus.Done;
        });
        return command;
    }

    private static Command Show()
    {
        var trust = TrustCommands.FileOption();
        var isTrust = new Option<bool>("--trusted") { Description = "Show the keys that the sponsor of this host trusts instead" };
        var command = new Command("show", "Print this demander's public key, or the keys that a sponsor trusts") { s_path, isTrust, trust };
        command.SetAction(parsed =>
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            if (parsed.GetValue(isTrust) || parsed.GetValue(trust) is not null)
            {
                TrustCommands.Show(TrustCommands.PathOf(parsed.GetValue(trust)), output);
                return ExitStatus.Done;
            }

            output.WriteLine(new DemanderKey(parsed.GetValue(s_path) ?? DemanderKey.DefaultPath).Load().PublicZ85);
            return ExitStatus.Done;
        });
        return command;
    }
}
