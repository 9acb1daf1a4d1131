using System.Globalization;
using Hecatonchire.Units;

namespace Hecatonchire.Control.Keys;

/// <summary>A key that a sponsor trusts, whose it is, and what he may have. Several keys of one name are one demander's: he is changing from one to another.</summary>
internal sealed record TrustEntry(string Name, string Key)
{
    public const int ShareMax = 100;

    /// <summary>What all demanders of this name may have borrowed; null: whatever is offered.</summary>
    public ByteSize? Quota { get; init; }

    /// <summary>How much of the sponsor's time and network this name gets beside others, when there is not enough for all.</summary>
    public int Share { get; init; } = 1;

    /// <summary>The first day on which it is not trusted any more, UTC; null: it stays trusted.</summary>
    public DateOnly? Expires { get; init; }

    /// <summary>The day on which it was revoked; null: it was not.</summary>
    public DateOnly? Revoked { get; init; }

    /// <summary>Why it is not trusted at that time; null: it is.</summary>
    public string? Distrust(DateTimeOffset now) =>
        Revoked is { } revoked ? $"the key of '{Name}' was revoked on {Day(revoked)}"
        : Expires is { } expires && DateOnly.FromDateTime(now.UtcDateTime) >= expires ? $"the key of '{Name}' has expired on {Day(expires)}"
        : null;

    /// <summary>As it stands in a trust file.</summary>
    public override string ToString() => string.Join(' ', ((string?[])
    [
        Name, Key,
        Quota is { } quota ? $"quota={Exact(quota)}" : null,
        Share != 1 ? string.Create(CultureInfo.InvariantCulture, $"share={Share}") : null,
        Expires is { } expires ? $"expires={Day(expires)}" : null,
        Revoked is { } revoked ? $"revoked={Day(revoked)}" : null,
    ]).OfType<string>());

    // A size in the largest unit may be rounded.
    private static string Exact(ByteSize size) =>
        ByteSize.Parse(size.ToString()) == size ? size.ToString() : size.Bytes.ToString(CultureInfo.InvariantCulture);

    public static string Day(DateOnly day) => day.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);

    public static bool TryParseDay(string text, out DateOnly day) =>
        DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out day);

    public static bool TryParseShare(string text, out int share) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out share) && share is >= 1 and <= ShareMax;
}
