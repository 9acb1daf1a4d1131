using System.Buffers;
using System.Security.Cryptography;
using System.Text;

namespace Hecatonchire.Control;

/// <summary>
/// What a sponsor's owner says of where it is: names with values, such as <c>rack=a</c>. Replicas are spread by them. Every sponsor has <see cref="Host"/>, which names its host
/// where nobody says otherwise.
/// </summary>
internal sealed class Labels : IEquatable<Labels>
{
    public const string Host = "host";

    /// <summary>So that a sponsor's answer and its record stay small.</summary>
    public const int CountMax = 16;

    public const int LengthMax = 63;

    private const string BootId = "/proc/sys/kernel/random/boot_id";

    private static readonly SearchValues<char> s_wordCharacters = SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:");

    private readonly SortedDictionary<string, string> _values;

    private Labels(SortedDictionary<string, string> values) => _values = values;

    public static Labels None { get; } = new(new SortedDictionary<string, string>(StringComparer.Ordinal));

    public int Count => _values.Count;

    /// <summary>By name, sorted.</summary>
    public IReadOnlyDictionary<string, string> Values => _values;

    /// <summary>Each as NAME=VALUE, sorted.</summary>
    public IEnumerable<string> Pairs => _values.Select(label => $"{label.Key}={label.Value}");

    /// <summary>The value of a name; null where it has none.</summary>
    public string? this[string name] => _values.GetValueOrDefault(name);

    /// <summary>Null, with the reason in one line, where a pair is not NAME=VALUE, a name comes twice, or there are too many.</summary>
    public static Labels? From(IEnumerable<string> pairs, out string problem)
    {
        var values = new SortedDictionary<string, string>(StringComparer.Ordinal);
        foreach (string pair in pairs)
        {
            int equals = pair.IndexOf('=', StringComparison.Ordinal);
            if (equals < 0 || !IsWord(pair.AsSpan(0, equals)) || !IsWord(pair.AsSpan(equals + 1)))
            {
                problem = $"'{pair}' must be NAME=VALUE, each 1 to {LengthMax} of the letters, digits and ._-:";
                return null;
            }

            if (!values.TryAdd(pair[..equals], pair[(equals + 1)..]))
            {
                problem = $"'{pair[..equals]}' is given twice";
                return null;
            }
        }

        problem = values.Count > CountMax ? $"there are {values.Count}, and {CountMax} is the most" : "";
        return values.Count > CountMax ? null : new Labels(values);
    }

    /// <summary>True for what a label's name or value may be.</summary>
    public static bool IsWord(ReadOnlySpan<char> text) =>
        text.Length is > 0 and <= LengthMax && !text.ContainsAnyExcept(s_wordCharacters);

    /// <summary>
    /// These with <see cref="Host"/>, if they lack it: the running kernel's boot id, hashed. Containers and clones of a machine share its machine-id and differ in that, or
    /// share both, where they are on one host; that it changes at a boot does no harm, since a sponsor's memory does not survive one.
    /// </summary>
    public Labels WithHost()
    {
        if (_values.ContainsKey(Host))
        {
            return this;
        }

        string boot;
        try
        {
            boot = File.ReadAllText(BootId).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            boot = Environment.MachineName;
        }

        string host = Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes("heca host " + boot)).AsSpan(0, 6));
        return new Labels(new SortedDictionary<string, string>(_values, StringComparer.Ordinal) { [Host] = host });
    }

    public bool Equals(Labels? other) => other is not null && Pairs.SequenceEqual(other.Pairs);

    public override bool Equals(object? obj) => Equals(obj as Labels);

    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);

    public override string ToString() => string.Join(", ", Pairs);
}
