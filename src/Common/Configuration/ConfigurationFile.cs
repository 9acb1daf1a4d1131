using System.Text;

namespace Hecatonchire.Configuration;

/// <summary>One setting of a configuration file: an option's name without its dashes, its value as it is written, and its line, from 1.</summary>
internal readonly record struct ConfigurationLine(string Name, string Value, int Line);

/// <summary>What a configuration file may have in it: an option's name without its dashes.</summary>
internal readonly record struct ConfigurationName(string Name, bool IsList);

/// <summary>
/// The configuration file of a daemon: <c>name = value</c>, a line each, with the names of the command line. A line that starts with <c>#</c> is a comment, and so is what
/// follows a <c>#</c> between blanks: a key may have, and start with, one. A name comes once, or as often as its option may be repeated.
/// </summary>
internal static class ConfigurationFile
{
    /// <summary>A configuration has some dozen short lines; what is larger is another file.</summary>
    private const int FileBytesMax = 1 << 20;

    /// <summary>As many letters may be wrong in a name that is guessed at.</summary>
    private const int GuessDistanceMax = 2;

    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Throws <see cref="ConfigurationException"/> for a file that cannot be read or has a line that is none.</summary>
    public static IReadOnlyList<ConfigurationLine> Read(string path, IReadOnlyCollection<ConfigurationName> known)
    {
        string text;
        try
        {
            // Read up to a bound: a device says that it has no length, and never ends.
            using FileStream file = File.OpenRead(path);
            byte[] bytes = new byte[FileBytesMax + 1];
            int length = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            text = length <= FileBytesMax ? s_strict.GetString(bytes, 0, length)
                : throw new ConfigurationException($"{path}: larger than {FileBytesMax} bytes, so it is no configuration file");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new ConfigurationException(e is DecoderFallbackException ? $"{path}: is not text (UTF-8), so it is no configuration file" : $"{path}: cannot be read: {e.Message}");
        }

        return Parse(path, text, known);
    }

    /// <summary>As <see cref="Read"/>, of what is in the file.</summary>
    public static IReadOnlyList<ConfigurationLine> Parse(string path, string text, IReadOnlyCollection<ConfigurationName> known)
    {
        var settings = new List<ConfigurationLine>();
        int number = 0;
        foreach (string line in text.Split('\n'))
        {
            number++;
            if (Content(line) is { Length: > 0 } content)
            {
                settings.Add(ParseLine(path, number, content, known, settings));
            }
        }

        return settings;
    }

    private static ConfigurationLine ParseLine(
        string path, int number, string content, IReadOnlyCollection<ConfigurationName> known, List<ConfigurationLine> before)
    {
        int equals = content.IndexOf('=', StringComparison.Ordinal);
        string name = (equals < 0 ? content : content[..equals]).Trim();
        if (content.Any(char.IsControl))
        {
            throw Bad(path, number, "has a control character in it");
        }

        if (equals < 0)
        {
            throw Bad(path, number, $"'{name}' has no '=': a line is `name = value`");
        }

        if (!known.Any(option => option.Name == name))
        {
            throw Bad(path, number, $"'{name}' is no option{Guess(name, known)}");
        }

        string value = content[(equals + 1)..].Trim();
        if (value.Length == 0)
        {
            throw Bad(path, number, $"'{name}' has no value: leave the line out for its default");
        }

        return known.First(option => option.Name == name).IsList || before.FindIndex(other => other.Name == name) is not (>= 0 and var first)
            ? new ConfigurationLine(name, value, number)
            : throw Bad(path, number, $"'{name}' is there already, on line {before[first].Line}, and may not be repeated");
    }

    private static ConfigurationException Bad(string path, int number, string what) => new($"{path}:{number}: {what}");

    /// <summary>A line without its comment and the blanks around it.</summary>
    private static string Content(string line)
    {
        string content = line.Trim();
        for (int i = 0; i < content.Length; i++)
        {
            if (content[i] == '#' && (i == 0 || (char.IsWhiteSpace(content[i - 1]) && (i + 1 == content.Length || char.IsWhiteSpace(content[i + 1])))))
            {
                return content[..i].Trim();
            }
        }

        return content;
    }

    private static string Guess(string name, IReadOnlyCollection<ConfigurationName> known)
    {
        string plain = name.TrimStart('-').Replace('_', '-').ToLowerInvariant();
        (string best, int distance) = known.Select(option => (option.Name, Distance(plain, option.Name))).DefaultIfEmpty(("", int.MaxValue)).MinBy(guess => guess.Item2);
        return distance <= GuessDistanceMax
            ? $"; '{best}' is"
            : $"; there are {string.Join(", ", known.Select(option => option.Name))}";
    }

    /// <summary>How many letters have to be added, taken away or changed.</summary>
    private static int Distance(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                (diagonal, row[j]) = (row[j], Math.Min(Math.Min(row[j], row[j - 1]) + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)));
            }
        }

        return row[b.Length];
    }
}
