using System.CommandLine;
using System.Globalization;
using Hecatonchire.Cli.Status;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Units;

namespace Hecatonchire.Cli.Keys;

/// <summary>`heca key trust` and `heca key revoke`: they change the trust file of this host's sponsor, which reads it again within a second.</summary>
internal static class TrustCommands
{
    private const string TrustDetails =
        "Changes the trust file of this host's sponsor, which reads it again within a second. A sponsor that runs without one goes on to\n"
        + "serve whoever has its public key until it is started again: nobody who has memory there is to lose it by this.\n"
        + "KEY is what `heca key show` prints on the demander's host, or a file with it. A name may have several keys: they share its quota, so that a key can be\n"
        + "changed with programs running. A key that is there already gets what is given here instead.\n\n"
        + "Examples:\n"
        + "  heca key trust alice alice.public --quota 8GiB\n"
        + "  heca key trust build-farm farm.public --quota 64GiB --share 4 --expires 2027-12-31\n";

    private const string RevokeDetails =
        "The sessions of the key end within a second: its data connections are closed, and nothing more is lent to it or read for it. What it has borrowed is\n"
        + "freed after the sponsor's --gone-after; until then the key can be trusted again (`heca key trust`), or its owner can show another.\n\n"
        + "Examples:\n"
        + "  heca key revoke alice                  every key of alice\n"
        + "  heca key revoke 'HJ4k...'              this one, after alice has got another\n";

    private static readonly string[] s_places =
    [
        Path.Combine("/var/lib/heca", TrustFile.Name),
        Path.Combine(Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } xdg
            ? xdg
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state"), "heca", TrustFile.Name),
    ];

    public static Option<string?> FileOption() => new("--trust")
    {
        HelpName = "FILE",
        Description = $"The sponsor's trust file [default: {DefaultPath}]",
    };

    public static string PathOf(string? given) => Path.GetFullPath(given ?? DefaultPath);

    private static string DefaultPath => s_places[Environment.IsPrivilegedProcess ? 0 : 1];

    public static DetailedCommand Trust()
    {
        var name = new Argument<string>("NAME") { Description = "Whose key it is" };
        var key = new Argument<string>("KEY|FILE") { Description = "The demander's public key" };
        var quota = new Option<string?>("--quota") { HelpName = "SIZE", Description = "What all keys of this name may have borrowed [default: whatever is offered]" };
        var share = new Option<string?>("--share")
        {
            HelpName = "N",
            Description = $"The weight of its requests beside others', 1 to {TrustEntry.ShareMax}, where the sponsor cannot serve all at once [default: 1]",
        };
        var expires = new Option<string?>("--expires") { HelpName = "DAY", Description = "The first day, such as 2027-12-31 (UTC), on which it is not trusted any more [default: never]" };
        Option<string?> file = FileOption();
        var command = new DetailedCommand("trust", "Have this host's sponsor serve a key", TrustDetails) { name, key, quota, share, expires, file };
        command.SetAction(parsed =>
        {
            TrustEntry entry = new(CheckName(parsed.GetValue(name)!), ReadKey(parsed.GetValue(key)!))
            {
                Quota = parsed.GetValue(quota) is not { } size ? null
                    : ByteSize.TryParse(size, out ByteSize bytes) ? bytes
                    : throw new CommandException($"--quota '{size}': write a size, such as 8GiB", ExitStatus.Usage),
                Share = parsed.GetValue(share) is not { } weight ? 1
                    : TrustEntry.TryParseShare(weight, out int number) ? number
                    : throw new CommandException($"--share '{weight}': write a whole number from 1 to {TrustEntry.ShareMax}", ExitStatus.Usage),
                Expires = parsed.GetValue(expires) is not { } text ? null
                    : TrustEntry.TryParseDay(text, out DateOnly day) ? day
                    : throw new CommandException($"--expires '{text}': write a day as 2027-12-31", ExitStatus.Usage),
            };
            string path = PathOf(parsed.GetValue(file));
            bool isFirst = !File.Exists(path);
            Change(path, trust =>
            {
                if (trust[entry.Key] is { } known && known.Name != entry.Name)
                {
                    throw new CommandException($"this key is '{known.Name}' in {path}", ExitStatus.Failed);
                }

                trust.Set(entry);
            });
            parsed.InvocationConfiguration.Output.WriteLine(
                $"{path}: {entry}" + (isFirst ? "; from its next start on its sponsor serves only the keys in this file" : ""));
            return ExitStatus.Done;
        });
        return command;
    }

    public static DetailedCommand Revoke()
    {
        var who = new Argument<string>("NAME|KEY") { Description = "A name, for all its keys, or one public key" };
        Option<string?> file = FileOption();
        var command = new DetailedCommand("revoke", "Have this host's sponsor serve a key no more, and end its sessions", RevokeDetails) { who, file };
        command.SetAction(parsed =>
        {
            string path = PathOf(parsed.GetValue(file)), named = parsed.GetValue(who)!;
            int count = 0;
            Change(path, trust =>
            {
                foreach (TrustEntry entry in trust.Entries.Where(entry => (entry.Name == named || entry.Key == named) && entry.Revoked is null).ToArray())
                {
                    trust.Set(entry with { Revoked = DateOnly.FromDateTime(DateTime.UtcNow) });
                    count++;
                }

                if (count == 0)
                {
                    throw new CommandException($"{path} trusts no key '{named}'", ExitStatus.Failed);
                }
            });
            parsed.InvocationConfiguration.Output.WriteLine($"{path}: {count} {(count == 1 ? "key" : "keys")} of '{named}' revoked");
            return ExitStatus.Done;
        });
        return command;
    }

    public static void Show(string path, TextWriter output)
    {
        DateTimeOffset now = DateTimeOffset.UtcNow;
        PlainTable.Write(output, ["name", "key", "quota", "share", "expires", "state"], TrustFile.Read(path).Entries.Select(entry => (string[])
        [
            entry.Name, entry.Key, entry.Quota?.ToString() ?? "-", entry.Share.ToString(CultureInfo.InvariantCulture), entry.Expires is { } day ? TrustEntry.Day(day) : "-",
            entry.Distrust(now) is null ? "trusted" : entry.Revoked is { } revoked ? $"revoked {TrustEntry.Day(revoked)}" : "expired",
        ]));
    }

    private static string CheckName(string name) => Labels.IsWord(name)
        ? name
        : throw new CommandException($"'{name}' is no name: write 1 to {Labels.LengthMax} of the letters, digits and ._-:", ExitStatus.Usage);

    private static string ReadKey(string given)
    {
        string text = given;
        if (!CurveKeyPair.IsKey(given))
        {
            try
            {
                text = File.ReadAllText(given).Trim();
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
            {
                throw new CommandException($"'{given}' is neither a public key ({CurveKeyPair.Z85Length} characters of Z85; this has {given.Length}) nor a file that can be read", ExitStatus.Usage);
            }
        }

        return CurveKeyPair.IsKey(text)
            ? text
            : throw new CommandException($"{given} holds no public key: it has {text.Length} characters, and a key has {CurveKeyPair.Z85Length} of Z85", ExitStatus.Usage);
    }

    /// <summary>Two that change the file at once do so one after the other.</summary>
    private static void Change(string path, Action<TrustFile> change)
    {
        try
        {
            _ = Directory.CreateDirectory(Path.GetDirectoryName(path)!, KeyFile.DirectoryMode);
            using FileStream turn = Lock($"{path}.lock");
            TrustFile file = TrustFile.ReadOrEmpty(path);
            change(file);
            file.Write(path);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new CommandException($"cannot change {path}: {e.Message.TrimEnd('.')}; run it as the user of the sponsor", ExitStatus.Failed);
        }
    }

    private static FileStream Lock(string path)
    {
        const int Patience = 10_000;
        for (long end = Environment.TickCount64 + Patience; ; Thread.Sleep(10))
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (File.Exists(path) && Environment.TickCount64 < end)
            {
                // Somebody else's turn.
            }
        }
    }
}
