using System.Buffers;
using System.Text.Unicode;
using Hecatonchire.Units;
using MessagePack;

namespace Hecatonchire.Control.Messages;

/// <summary>
/// A control frame, checked once as a whole: one MessagePack map with distinct string keys and nothing after it. Fields are
/// looked up in the bytes, so nothing is kept of a frame that turns out to be no message. Anybody may have sent it: what the
/// MessagePack library throws ends in <see cref="TryOpen(ReadOnlyMemory{byte}, out ControlMap)"/>, and what was read as a whole is not
/// read beyond its type again.
/// </summary>
internal readonly struct ControlMap
{
    /// <summary>Containers inside each other in a field. Control messages nest two deep there.</summary>
    public const int DepthMax = 16;

    /// <summary>The longest message has 16 fields; room for what later versions add.</summary>
    private const int FieldsMax = 64;

    private static readonly MessagePackSecurity Security = MessagePackSecurity.UntrustedData.WithMaximumObjectGraphDepth(DepthMax);

    private readonly ReadOnlyMemory<byte> _fields;
    private readonly int _count;

    private ControlMap(ReadOnlyMemory<byte> fields, int count)
    {
        _fields = fields;
        _count = count;
    }

    /// <summary>False for anything that is not such a map.</summary>
    public static bool TryOpen(ReadOnlyMemory<byte> frame, out ControlMap map)
    {
        try
        {
            MessagePackReader reader = new(frame);
            if (TryOpen(frame, ref reader, out map) && reader.End)
            {
                return true;
            }
        }
        catch (Exception e) when (e is MessagePackSerializationException or EndOfStreamException or OverflowException
            or ArgumentOutOfRangeException or InsufficientExecutionStackException)
        {
            // A code that is none; an end that comes too early; a length beyond 2^31, for which the library has two more; a nesting deeper than allowed.
        }

        map = default;
        return false;
    }

    /// <summary>Reads the map at the reader's position, which is inside <paramref name="frame"/>: of a frame that is open, without exceptions.</summary>
    public static bool TryOpen(ReadOnlyMemory<byte> frame, ref MessagePackReader reader, out ControlMap map)
    {
        map = default;
        if (reader.NextMessagePackType != MessagePackType.Map)
        {
            return false;
        }

        // The library refuses a count that the rest of the frame cannot hold.
        int count = reader.ReadMapHeader();
        int start = (int)reader.Consumed;
        if (count > FieldsMax)
        {
            return false;
        }

        for (int i = 0; i < count; i++)
        {
            if (!TryReadString(ref reader, out ReadOnlySpan<byte> key) || new ControlMap(frame[start..], i).TryFind(key, out _))
            {
                return false;
            }

            Skip(ref reader);
        }

        map = new ControlMap(frame[start..(int)reader.Consumed], count);
        return true;
    }

    /// <summary>A str of valid UTF-8, as bytes; false for any other value.</summary>
    public static bool TryReadString(scoped ref MessagePackReader reader, out ReadOnlySpan<byte> utf8)
    {
        utf8 = default;
        if (reader.NextMessagePackType != MessagePackType.String || reader.ReadStringSequence() is not { } text)
        {
            return false;
        }

        // One piece, as the frame is.
        utf8 = text.FirstSpan;
        return Utf8.IsValid(utf8);
    }

    /// <summary>An integer of any width, signed or not, that is not negative.</summary>
    public bool TryGetUnsigned(ReadOnlySpan<byte> key, out ulong value)
    {
        value = 0;
        if (!TryFind(key, out MessagePackReader reader) || reader.NextMessagePackType != MessagePackType.Integer)
        {
            return false;
        }

        // By its code, for the library would throw at one that is negative.
        if (reader.NextCode is >= MessagePackCode.MinNegativeFixInt or (>= MessagePackCode.Int8 and <= MessagePackCode.Int64))
        {
            long signed = reader.ReadInt64();
            value = signed < 0 ? 0 : (ulong)signed;
            return signed >= 0;
        }

        value = reader.ReadUInt64();
        return true;
    }

    /// <summary>A count, a size or a time: an integer of 0 to 2^63 - 1.</summary>
    public bool TryGetCount(ReadOnlySpan<byte> key, out long value)
    {
        bool found = TryGetUnsigned(key, out ulong bits) && bits <= long.MaxValue;
        value = found ? (long)bits : 0;
        return found;
    }

    public bool TryGetInt32(ReadOnlySpan<byte> key, int max, out int value)
    {
        bool found = TryGetUnsigned(key, out ulong bits) && bits <= (ulong)max;
        value = found ? (int)bits : 0;
        return found;
    }

    public bool TryGetString(ReadOnlySpan<byte> key, out ReadOnlySpan<byte> utf8)
    {
        utf8 = default;
        return TryFind(key, out MessagePackReader reader) && TryReadString(ref reader, out utf8);
    }

    /// <summary>A bin of exactly so many bytes; a str is none.</summary>
    public bool TryGetBinary(ReadOnlySpan<byte> key, int length, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        if (!TryFind(key, out MessagePackReader reader)
            || reader.NextMessagePackType != MessagePackType.Binary
            || reader.ReadBytes() is not { } read
            || read.Length != length)
        {
            return false;
        }

        bytes = read.FirstSpan;
        return true;
    }

    public bool TryGetId(ReadOnlySpan<byte> key, out Guid id)
    {
        bool found = TryGetBinary(key, WireId.Length, out ReadOnlySpan<byte> bytes);
        id = found ? WireId.Read(bytes) : Guid.Empty;
        return found;
    }

    /// <summary>The elements of an array; <paramref name="reader"/> stands before the first and reads <paramref name="source"/>.</summary>
    public bool TryGetArray(ReadOnlySpan<byte> key, out ReadOnlyMemory<byte> source, out MessagePackReader reader, out int count)
    {
        source = _fields;
        count = 0;
        if (!TryFind(key, out reader) || reader.NextMessagePackType != MessagePackType.Array)
        {
            return false;
        }

        count = reader.ReadArrayHeader();
        return true;
    }

    private bool TryFind(ReadOnlySpan<byte> key, out MessagePackReader reader)
    {
        reader = new MessagePackReader(_fields);
        for (int i = 0; i < _count; i++)
        {
            if (!TryReadString(ref reader, out ReadOnlySpan<byte> name))
            {
                return false;
            }

            if (name.SequenceEqual(key))
            {
                return true;
            }

            Skip(ref reader);
        }

        return false;
    }

    /// <summary>
    /// Passes one value of any type, containers with all they hold. Not <see cref="MessagePackReader.Skip"/>: that asks no str for UTF-8, and
    /// of containers inside each other how deep.
    /// </summary>
    private static void Skip(ref MessagePackReader reader)
    {
        switch (reader.NextMessagePackType)
        {
            case MessagePackType.Map:
                SkipElements(ref reader, 2L * reader.ReadMapHeader());
                break;
            case MessagePackType.Array:
                SkipElements(ref reader, reader.ReadArrayHeader());
                break;
            case MessagePackType.String:
                if (!TryReadString(ref reader, out _))
                {
                    throw new MessagePackSerializationException("a str that is not UTF-8");
                }

                break;
            default:
                reader.Skip();
                break;
        }
    }

    private static void SkipElements(ref MessagePackReader reader, long count)
    {
        Security.DepthStep(ref reader);
        for (long i = 0; i < count; i++)
        {
            Skip(ref reader);
        }

        reader.Depth--;
    }
}
