using System.Globalization;
using Hecatonchire.Units;

namespace Hecatonchire.Pager;

/// <summary>`--local`: an absolute size (<c>256MiB</c>) or a share of what is allocated (<c>1:4</c>).</summary>
internal readonly record struct LocalBudget
{
    /// <summary>Below this the pager cannot keep a fault, a window and a write-back apart.</summary>
    public const long BytesMin = 1L << 20;

    private readonly long _bytes;
    private readonly int _numerator;
    private readonly int _denominator;

    private LocalBudget(long bytes, int numerator, int denominator)
    {
        _bytes = bytes;
        _numerator = numerator;
        _denominator = denominator;
    }

    /// <summary>Parses <c>SIZE</c> or <c>N:M</c> with 0 &lt; N &lt;= M; false on anything else.</summary>
    public static bool TryParse(string? text, out LocalBudget budget)
    {
        budget = default;
        int colon = text?.IndexOf(':', StringComparison.Ordinal) ?? -1;
        if (colon < 0)
        {
            if (!ByteSize.TryParse(text, out ByteSize size) || size.Bytes < BytesMin)
            {
                return false;
            }

            budget = new LocalBudget(size.Bytes, 0, 0);
            return true;
        }

        if (!int.TryParse(text.AsSpan(0, colon), NumberStyles.None, CultureInfo.InvariantCulture, out int numerator)
            || !int.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int denominator)
            || numerator <= 0 || denominator < numerator)
        {
            return false;
        }

        budget = new LocalBudget(0, numerator, denominator);
        return true;
    }

    /// <summary>True for a share of what is allocated.</summary>
    public bool IsShare => _denominator != 0;

    /// <summary>The budget in bytes, whole pages, for a program with <paramref name="allocated"/> sponsored bytes.</summary>
    public long Resolve(long allocated)
    {
        long bytes = _denominator == 0 ? _bytes : (long)((Int128)allocated * _numerator / _denominator);
        return Math.Max(bytes, BytesMin) & ~(long)(PageSize.Bytes - 1);
    }

    public override string ToString() =>
        _denominator == 0 ? new ByteSize(_bytes).ToString() : string.Create(CultureInfo.InvariantCulture, $"{_numerator}:{_denominator}");
}
