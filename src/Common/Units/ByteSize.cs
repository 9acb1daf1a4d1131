using System.Globalization;

namespace Hecatonchire.Units;

/// <summary>A number of bytes as people write it: <c>256MiB</c>, <c>1GiB</c>, <c>4096</c>, <c>1.5GiB</c>.</summary>
internal readonly record struct ByteSize(long Bytes) : IComparable<ByteSize>
{
    private static readonly (string Suffix, long Factor)[] Units =
    [
        ("TiB", 1L << 40), ("GiB", 1L << 30), ("MiB", 1L << 20), ("KiB", 1L << 10),
        ("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000),
        ("T", 1L << 40), ("G", 1L << 30), ("M", 1L << 20), ("K", 1L << 10), ("B", 1),
    ];

    /// <summary>Parses a size; false when it is not a number with an optional unit, is negative or exceeds 2^62 bytes.</summary>
    public static bool TryParse(string? text, out ByteSize size)
    {
        size = default;
        if (string.IsNullOrWhiteSpace(text))
        {
            return false;
        }

        ReadOnlySpan<char> number = text.AsSpan().Trim();
        long factor = 1;
        foreach ((string suffix, long unitFactor) in Units)
        {
            if (number.EndsWith(suffix, StringComparison.OrdinalIgnoreCase))
            {
                number = number[..^suffix.Length].TrimEnd();
                factor = unitFactor;
                break;
            }
        }

        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value)
            || value > (decimal)(1L << 62) / factor)
        {
            return false;
        }

        size = new ByteSize((long)(value * factor));
        return true;
    }

    public static ByteSize Parse(string text) => TryParse(text, out ByteSize size)
        ? size
        : throw new FormatException($"'{text}' is not a size: write a number and a unit, such as 256MiB or 8GiB");

    public int CompareTo(ByteSize other) => Bytes.CompareTo(other.Bytes);

    /// <summary>The shortest exact form in binary units, else one decimal: <c>256MiB</c>, <c>1.5GiB</c>; 4097 bytes are <c>4KiB</c>.</summary>
    public override string ToString()
    {
        foreach ((string suffix, long factor) in Units.AsSpan(0, 4))
        {
            if (Bytes >= factor)
            {
                return Bytes % factor == 0
                    ? string.Create(CultureInfo.InvariantCulture, $"{Bytes / factor}{suffix}")
                    : string.Create(CultureInfo.InvariantCulture, $"{(double)Bytes / factor:0.#}{suffix}");
            }
        }

        return string.Create(CultureInfo.InvariantCulture, $"{Bytes}B");
    }
}
