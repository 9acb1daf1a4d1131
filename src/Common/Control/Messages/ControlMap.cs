using Hecatonchire.Control.MessagePack;
using Hecatonchire.Units;

namespace Hecatonchire.Control.Messages;

/// <summary>
/// A control frame, checked once as a whole: one MessagePack map with distinct string keys and nothing after it. Fields are
/// looked up in the bytes, so nothing is allocated for a frame that turns out to be no message.
/// </summary>
internal readonly ref struct ControlMap
{
    /// <summary>The longest message has 11 fields; room for what later versions add.</summary>
    private const int FieldsMax = 64;

    private readonly ReadOnlySpan<byte> _fields;
    private readonly int _count;

    private ControlMap(ReadOnlySpan<byte> fields, int count)
    {
        _fields = fields;
        _count = count;
    }

    /// <summary>False for anything that is not such a map.</summary>
    public static bool TryOpen(ReadOnlySpan<byte> frame, out ControlMap map)
    {
        MessagePackReader reader = new(frame);
        if (TryOpen(frame, ref reader, out map) && reader.IsAtEnd)
        {
            return true;
        }

        map = default;
        return false;
    }

    /// <summary>Reads the map at the reader's position, which is inside <paramref name="frame"/>.</summary>
    public static bool TryOpen(ReadOnlySpan<byte> frame, scoped ref MessagePackReader reader, out ControlMap map)
    {
        map = default;
        if (!reader.TryReadMapHeader(out int count) || count > FieldsMax)
        {
            return false;
        }

        int start = reader.Position;
        for (int i = 0; i < count; i++)
        {
            if (!reader.TryReadString(out ReadOnlySpan<byte> key)
                || new ControlMap(frame[start..], i).TryFind(key, out _)
                || !reader.TrySkip())
            {
                return false;
            }
        }

        map = new ControlMap(frame[start..reader.Position], count);
        return true;
    }

    public bool TryGetUnsigned(ReadOnlySpan<byte> key, out ulong value)
    {
        value = 0;
        return TryFind(key, out MessagePackReader reader) && reader.TryReadUnsigned(out value);
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
        return TryFind(key, out MessagePackReader reader) && reader.TryReadString(out utf8);
    }

    public bool TryGetBinary(ReadOnlySpan<byte> key, int length, out ReadOnlySpan<byte> bytes)
    {
        bytes = default;
        return TryFind(key, out MessagePackReader reader) && reader.TryReadBinary(out bytes) && bytes.Length == length;
    }

    public bool TryGetId(ReadOnlySpan<byte> key, out Guid id)
    {
        bool found = TryGetBinary(key, WireId.Length, out ReadOnlySpan<byte> bytes);
        id = found ? WireId.Read(bytes) : Guid.Empty;
        return found;
    }

    /// <summary>The elements of an array; <paramref name="reader"/> stands before the first and reads <paramref name="source"/>.</summary>
    public bool TryGetArray(ReadOnlySpan<byte> key, out ReadOnlySpan<byte> source, out MessagePackReader reader, out int count)
    {
        source = _fields;
        count = 0;
        return TryFind(key, out reader) && reader.TryReadArrayHeader(out count);
    }

    private bool TryFind(ReadOnlySpan<byte> key, out MessagePackReader reader)
    {
        reader = new MessagePackReader(_fields);
        for (int i = 0; i < _count; i++)
        {
            if (!reader.TryReadString(out ReadOnlySpan<byte> name))
            {
                return false;
            }

            if (name.SequenceEqual(key))
            {
                return true;
            }

            if (!reader.TrySkip())
            {
                return false;
            }
        }

        return false;
    }
}
