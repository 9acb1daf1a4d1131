using System.Buffers.Binary;
using System.Text;

namespace Hecatonchire.Control.MessagePack;

/// <summary>
/// Writes MessagePack into a buffer of fixed size, each value in its shortest form. What does not fit sets
/// <see cref="IsOverflown"/> and writes nothing from then on; the caller looks once, at the end.
/// </summary>
internal ref struct MessagePackWriter(Span<byte> output)
{
    private readonly Span<byte> _output = output;
    private int _length;

    /// <summary>Bytes written.</summary>
    public readonly int Length => _length;

    public bool IsOverflown { get; private set; }

    public void WriteMapHeader(int count) => WriteHeader(count, shortCode: 0x80, code16: 0xDE);

    public void WriteArrayHeader(int count) => WriteHeader(count, shortCode: 0x90, code16: 0xDC);

    public void WriteString(string text) => WriteString((ReadOnlySpan<byte>)Encoding.UTF8.GetBytes(text));

    public void WriteString(ReadOnlySpan<byte> utf8)
    {
        if (utf8.Length < 32)
        {
            WriteByte((byte)(0xA0 | utf8.Length));
        }
        else
        {
            WriteLength(utf8.Length, code8: 0xD9);
        }

        WriteRaw(utf8);
    }

    public void WriteBinary(ReadOnlySpan<byte> bytes)
    {
        WriteLength(bytes.Length, code8: 0xC4);
        WriteRaw(bytes);
    }

    public void WriteUnsigned(ulong value)
    {
        if (value <= 0x7F)
        {
            WriteByte((byte)value);
        }
        else
        {
            int width = value <= byte.MaxValue ? 0 : value <= ushort.MaxValue ? 1 : value <= uint.MaxValue ? 2 : 3;
            WriteNumber((byte)(0xCC + width), value, 1 << width);
        }
    }

    public void WriteSigned(long value)
    {
        if (value >= 0)
        {
            WriteUnsigned((ulong)value);
        }
        else if (value >= -32)
        {
            WriteByte((byte)value);
        }
        else
        {
            int width = value >= sbyte.MinValue ? 0 : value >= short.MinValue ? 1 : value >= int.MinValue ? 2 : 3;
            WriteNumber((byte)(0xD0 + width), (ulong)value, 1 << width);
        }
    }

    public void WriteBoolean(bool value) => WriteByte(value ? (byte)0xC3 : (byte)0xC2);

    public void WriteNil() => WriteByte(0xC0);

    public void WriteDouble(double value) => WriteNumber(0xCB, BitConverter.DoubleToUInt64Bits(value), sizeof(double));

    private void WriteHeader(int count, byte shortCode, byte code16)
    {
        if (count < 16)
        {
            WriteByte((byte)(shortCode | count));
        }
        else
        {
            bool fits = count <= ushort.MaxValue;
            WriteNumber(fits ? code16 : (byte)(code16 + 1), (ulong)count, fits ? 2 : 4);
        }
    }

    // The codes of the 8, 16 and 32 bit lengths follow each other, for str as for bin.
    private void WriteLength(int length, byte code8)
    {
        int width = length <= byte.MaxValue ? 0 : length <= ushort.MaxValue ? 1 : 2;
        WriteNumber((byte)(code8 + width), (ulong)length, 1 << width);
    }

    private void WriteNumber(byte code, ulong value, int bytes)
    {
        Span<byte> number = stackalloc byte[1 + sizeof(ulong)];
        BinaryPrimitives.WriteUInt64BigEndian(number[1..], value);
        number[sizeof(ulong) - bytes] = code;
        WriteRaw(number[(sizeof(ulong) - bytes)..]);
    }

    private void WriteByte(byte value) => WriteRaw(new ReadOnlySpan<byte>(in value));

    private void WriteRaw(scoped ReadOnlySpan<byte> bytes)
    {
        if (IsOverflown || bytes.Length > _output.Length - _length)
        {
            IsOverflown = true;
            return;
        }

        bytes.CopyTo(_output[_length..]);
        _length += bytes.Length;
    }
}
