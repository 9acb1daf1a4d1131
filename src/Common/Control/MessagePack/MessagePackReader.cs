using System.Buffers.Binary;
using System.Text.Unicode;

namespace Hecatonchire.Control.MessagePack;

/// <summary>
/// Reads MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) from bytes that anybody may have sent. Every
/// method says whether it could; one that could not leaves the position where it was. Never throws, never allocates,
/// never looks past the end; a length or count that the rest of the input cannot hold is refused when it is read.
/// </summary>
internal ref struct MessagePackReader(ReadOnlySpan<byte> input)
{
    /// <summary>Containers inside each other. Control messages nest three deep.</summary>
    public const int DepthMax = 16;

    private readonly ReadOnlySpan<byte> _input = input;
    private int _position;

    public readonly int Position => _position;

    public readonly bool IsAtEnd => _position == _input.Length;

    public bool TryReadMapHeader(out int count)
    {
        if (TryPeek(out byte code) && (code & 0xF0) == 0x80)
        {
            return TryTakeCount(1, code & 0x0F, bytesEach: 2, out count);
        }

        return TryReadCount(code16: 0xDE, code32: 0xDF, bytesEach: 2, out count);
    }

    public bool TryReadArrayHeader(out int count)
    {
        if (TryPeek(out byte code) && (code & 0xF0) == 0x90)
        {
            return TryTakeCount(1, code & 0x0F, bytesEach: 1, out count);
        }

        return TryReadCount(code16: 0xDC, code32: 0xDD, bytesEach: 1, out count);
    }

    /// <summary>A str of valid UTF-8, as bytes.</summary>
    public bool TryReadString(out ReadOnlySpan<byte> utf8)
    {
        utf8 = default;
        int start = _position;
        if (!TryPeek(out byte code)
            || !((code & 0xE0) == 0xA0
                ? TryTakeBytes(1, (uint)(code & 0x1F), out utf8)
                : TryReadBytes(code8: 0xD9, code16: 0xDA, code32: 0xDB, out utf8)))
        {
            return false;
        }

        if (Utf8.IsValid(utf8))
        {
            return true;
        }

        _position = start;
        utf8 = default;
        return false;
    }

    public bool TryReadBinary(out ReadOnlySpan<byte> bytes) => TryReadBytes(code8: 0xC4, code16: 0xC5, code32: 0xC6, out bytes);

    /// <summary>An integer of any width, signed or not, that is not negative.</summary>
    public bool TryReadUnsigned(out ulong value)
    {
        int start = _position;
        if (TryReadInteger(out value, out bool negative) && !negative)
        {
            return true;
        }

        _position = start;
        value = 0;
        return false;
    }

    /// <summary>An integer of any width, signed or not, that fits.</summary>
    public bool TryReadSigned(out long value)
    {
        int start = _position;
        if (TryReadInteger(out ulong bits, out bool negative) && (negative || bits <= long.MaxValue))
        {
            value = (long)bits;
            return true;
        }

        _position = start;
        value = 0;
        return false;
    }

    public bool TryReadBoolean(out bool value)
    {
        value = TryPeek(out byte code) && code == 0xC3;
        return (code is 0xC2 or 0xC3) && TryAdvance(1);
    }

    public bool TryReadNil() => TryPeek(out byte code) && code == 0xC0 && TryAdvance(1);

    public bool TryReadDouble(out double value)
    {
        value = 0;
        if (!TryPeek(out byte code) || code != 0xCB || Remaining < 9)
        {
            return false;
        }

        value = BinaryPrimitives.ReadDoubleBigEndian(_input[(_position + 1)..]);
        return TryAdvance(9);
    }

    /// <summary>Passes one value of any type, containers with all they hold, at most <see cref="DepthMax"/> deep.</summary>
    public bool TrySkip()
    {
        int start = _position;
        Span<int> left = stackalloc int[DepthMax];
        int depth = 0;
        int pending = 1;
        while (true)
        {
            while (pending == 0)
            {
                if (depth == 0)
                {
                    return true;
                }

                pending = left[--depth];
            }

            pending--;
            int inside = 0;
            if (TryReadMapHeader(out int count))
            {
                inside = 2 * count;
            }
            else if (TryReadArrayHeader(out count))
            {
                inside = count;
            }
            else if (!TrySkipScalar())
            {
                _position = start;
                return false;
            }

            if (inside > 0)
            {
                if (depth == DepthMax)
                {
                    _position = start;
                    return false;
                }

                left[depth++] = pending;
                pending = inside;
            }
        }
    }

    private readonly int Remaining => _input.Length - _position;

    private bool TrySkipScalar()
    {
        if (!TryPeek(out byte code))
        {
            return false;
        }

        return code switch
        {
            0xC0 or 0xC2 or 0xC3 => TryAdvance(1),
            0xCA => TryAdvance(5),
            0xCB => TryAdvance(9),
            >= 0xC4 and <= 0xC6 => TryReadBinary(out _),
            >= 0xC7 and <= 0xC9 => TrySkipExtension(1 << (code - 0xC7)),
            >= 0xD4 and <= 0xD8 => TryAdvance(2 + (1 << (code - 0xD4))),
            >= 0xA0 and <= 0xBF or >= 0xD9 and <= 0xDB => TryReadString(out _),
            _ => TryReadInteger(out _, out _),
        };
    }

    // A length of 1, 2 or 4 bytes, a type byte, the data. No message uses one, but an unknown field may.
    private bool TrySkipExtension(int lengthBytes) =>
        TryPeekLength(lengthBytes, out uint length) && TryTakeBytes(1 + lengthBytes + 1, length, out _);

    private bool TryReadInteger(out ulong bits, out bool negative)
    {
        bits = 0;
        negative = false;
        if (!TryPeek(out byte code))
        {
            return false;
        }

        if (code is <= 0x7F or >= 0xE0)
        {
            bits = (ulong)(sbyte)code;
            negative = code >= 0xE0;
            return TryAdvance(1);
        }

        if (code is < 0xCC or > 0xD3)
        {
            return false;
        }

        int width = 1 << (code & 3);
        if (Remaining < 1 + width)
        {
            return false;
        }

        ReadOnlySpan<byte> data = _input.Slice(_position + 1, width);
        bits = code switch
        {
            0xCC => data[0],
            0xCD => BinaryPrimitives.ReadUInt16BigEndian(data),
            0xCE => BinaryPrimitives.ReadUInt32BigEndian(data),
            0xCF => BinaryPrimitives.ReadUInt64BigEndian(data),
            0xD0 => (ulong)(sbyte)data[0],
            0xD1 => (ulong)BinaryPrimitives.ReadInt16BigEndian(data),
            0xD2 => (ulong)BinaryPrimitives.ReadInt32BigEndian(data),
            _ => (ulong)BinaryPrimitives.ReadInt64BigEndian(data),
        };
        negative = code >= 0xD0 && (long)bits < 0;
        return TryAdvance(1 + width);
    }

    private bool TryReadCount(byte code16, byte code32, int bytesEach, out int count)
    {
        count = 0;
        if (!TryPeek(out byte code) || (code != code16 && code != code32))
        {
            return false;
        }

        int lengthBytes = code == code16 ? 2 : 4;
        return TryPeekLength(lengthBytes, out uint length) && TryTakeCount(1 + lengthBytes, length, bytesEach, out count);
    }

    private bool TryTakeCount(int header, long length, int bytesEach, out int count)
    {
        if (Remaining - header < length * bytesEach)
        {
            count = 0;
            return false;
        }

        count = (int)length;
        return TryAdvance(header);
    }

    private bool TryReadBytes(byte code8, byte code16, byte code32, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        if (!TryPeek(out byte code) || (code != code8 && code != code16 && code != code32))
        {
            return false;
        }

        int lengthBytes = code == code8 ? 1 : code == code16 ? 2 : 4;
        return TryPeekLength(lengthBytes, out uint length) && TryTakeBytes(1 + lengthBytes, length, out bytes);
    }

    private bool TryTakeBytes(int header, uint length, out ReadOnlySpan<byte> bytes)
    {
        if (Remaining - header < length)
        {
            bytes = default;
            return false;
        }

        bytes = _input.Slice(_position + header, (int)length);
        return TryAdvance(header + (int)length);
    }

    private readonly bool TryPeekLength(int lengthBytes, out uint length)
    {
        length = 0;
        if (Remaining < 1 + lengthBytes)
        {
            return false;
        }

        foreach (byte part in _input.Slice(_position + 1, lengthBytes))
        {
            length = (length << 8) | part;
        }

        return true;
    }

    private readonly bool TryPeek(out byte code)
    {
        // 0xC1 is the one code that MessagePack never uses: it matches no type.
        code = Remaining > 0 ? _input[_position] : (byte)0xC1;
        return Remaining > 0;
    }

    private bool TryAdvance(int bytes)
    {
        if (Remaining < bytes)
        {
            return false;
        }

        _position += bytes;
        return true;
    }
}
