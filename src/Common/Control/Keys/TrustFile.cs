using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Units;

namespace Hecatonchire.Control.Keys;

/// <summary>
/// Whom a sponsor trusts, as text: a key on each line as <c>NAME KEY [quota=SIZE] [share=N] [expires=YYYY-MM-DD] [revoked=YYYY-MM-DD]</c>; empty lines and those that begin with
/// # say nothing. Who can write it can let himself in, so it is refused where that is everybody.
/// </summary>
internal sealed class TrustFile
{
    public const string Name = "sponsor.trust";

    private const string Head =
        "# Who may borrow from this sponsor, read again when it changes: NAME KEY [quota=SIZE] [share=N] [expires=YYYY-MM-DD] [revoked=YYYY-MM-DD]";

    /// <summary>Ten thousand keys; what is larger is another file.</summary>
    private const int BytesMax = 1 << 20;

    private const UnixFileMode OthersWrite = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    private readonly Dictionary<string, TrustEntry> _byKey = new(StringComparer.Ordinal);
    private readonly List<(string Line, TrustEntry? Entry)> _lines = [];

    /// <summary>In the order of the file.</summary>
    public IEnumerable<TrustEntry> Entries => _lines.Select(line => line.Entry).OfType<TrustEntry>();

    /// <summary>The entry of a public key; null for a stranger.</summary>
    public TrustEntry? this[string key] => _byKey.GetValueOrDefault(key);

    /// <summary>Throws <see cref="IOException"/> with one line, which names the file and where it can the line in it.</summary>
    public static TrustFile Read(string path)
    {
        try
        {
            UnixFileMode mode = File.GetUnixFileMode(path);
            return (mode & OthersWrite) != 0
                ? throw new IOException($"the trust file {path} can be written by other users (mode {Convert.ToString((int)mode, 8)}): run chmod 644 {path}")
                : new FileInfo(path).Length > BytesMax ? throw new IOException($"{path} is larger than {BytesMax} bytes, so it is no trust file")
                : Parse(File.ReadAllLines(path), path);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new IOException($"the trust file {path} cannot be read: {e.Message.TrimEnd('.')}", e);
        }
        catch (FileNotFoundException)
        {
            throw new IOException($"there is no trust file {path}: heca key trust makes one");
        }
    }

    /// <summary>The file, or an empty one where there is none.</summary>
    public static TrustFile ReadOrEmpty(string path) => File.Exists(path) ? Read(path) : Parse([Head], path);

    public static TrustFile Parse(IEnumerable<string> lines, string path)
    {
        TrustFile file = new();
        int number = 0;
        foreach (string line in lines)
        {
            number++;
            TrustEntry? entry = line.AsSpan().Trim() is [] or ['#', ..] ? null : ParseLine(line, $"{path}, line {number}");
            if (entry is not null && !file._byKey.TryAdd(entry.Key, entry))
            {
                throw new IOException($"{path}, line {number}: the key of '{entry.Name}' is there twice");
            }

            file._lines.Add((line, entry));
        }

        return file;
    }

    /// <summary>Adds an entry, or puts it in place of that with the same key.</summary>
    public void Set(TrustEntry entry)
    {
        int at = _lines.FindIndex(line => line.Entry?.Key == entry.Key);
        _byKey[entry.Key] = entry;
        if (at < 0)
        {
            _lines.Add((entry.ToString(), entry));
        }
        else
        {
            _lines[at] = (entry.ToString(), entry);
        }
    }

    /// <summary>Throws <see cref="IOException"/>.</summary>
    public void Write(string path) =>
        KeyFile.Write(path, string.Join('\n', _lines.Select(line => line.Line)), KeyFile.PublicMode, overwrite: true, "run it as the user of the sponsor");

    private static TrustEntry ParseLine(string line, string where)
    {
        string[] words = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (!Labels.IsWord(words[0]))
        {
            throw new IOException($"{where}: '{words[0]}' is no name (letters, digits and ._-:)");
        }

        if (words.Length < 2 || !CurveKeyPair.IsKey(words[1]))
        {
            throw new IOException($"{where}: after '{words[0]}' comes no public key ({CurveKeyPair.Z85Length} characters of Z85)");
        }

        TrustEntry entry = new(words[0], words[1]);
        HashSet<string> given = [];
        foreach (string word in words.AsSpan(2))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            string option = equals < 0 ? word : word[..equals], value = equals < 0 ? "" : word[(equals + 1)..];
            entry = (given.Add(option) ? option : "") switch
            {
                "quota" when ByteSize.TryParse(value, out ByteSize quota) => entry with { Quota = quota },
                "quota" => throw new IOException($"{where}: quota={value}: write a size, such as 8GiB"),
                "share" when TrustEntry.TryParseShare(value, out int share) => entry with { Share = share },
                "share" => throw new IOException($"{where}: share={value}: write a whole number from 1 to {TrustEntry.ShareMax}"),
                "expires" when TrustEntry.TryParseDay(value, out DateOnly day) => entry with { Expires = day },
                "revoked" when TrustEntry.TryParseDay(value, out DateOnly day) => entry with { Revoked = day },
                "expires" or "revoked" => throw new IOException($"{where}: {option}={value}: write a day as 2027-12-31"),
                "" => throw new IOException($"{where}: '{option}' is given twice"),
                _ => throw new IOException($"{where}: '{word}' is none of quota=SIZE, share=N, expires=YYYY-MM-DD, revoked=YYYY-MM-DD"),
            };
        }

        return entry;
    }
}
