namespace Hecatonchire.Units;

/// <summary>
/// The 128-bit ids of demanders, sponsors and instances as 16 bytes of a frame: in the order they are written in, as RFC 9562
/// has it and Python's <c>uuid.bytes</c>. Both planes must agree: a token belongs to the id that said hello.
/// </summary>
internal static class WireId
{
    public const int Length = 16;

    public static byte[] ToBytes(Guid id) => id.ToByteArray(bigEndian: true);

    /// <summary>The first <see cref="Length"/> bytes.</summary>
    public static Guid Read(ReadOnlySpan<byte> bytes) => new(bytes[..Length], bigEndian: true);
}
