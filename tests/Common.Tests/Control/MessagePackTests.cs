using Hecatonchire.Control.MessagePack;
using Xunit;

namespace Hecatonchire.Tests.Control;

public sealed class MessagePackTests
{
    private static readonly ulong[] Unsigned =
        [0, 1, 127, 128, 255, 256, 65535, 65536, uint.MaxValue, 1UL + uint.MaxValue, long.MaxValue, 1UL << 63, ulong.MaxValue];

    private static readonly long[] Signed =
        [0, -1, -32, -33, -128, -129, -32768, -32769, int.MinValue, -1L + int.MinValue, long.MinValue, 127, 128, long.MaxValue];

    [Fact]
    public void Every_integer_width_reads_back_and_takes_its_shortest_form()
    {
        foreach (ulong value in Unsigned)
        {
            byte[] bytes = Write((ref MessagePackWriter writer) => writer.WriteUnsigned(value));
            MessagePackReader reader = new(bytes);
            Assert.True(reader.TryReadUnsigned(out ulong read) && reader.IsAtEnd);
            Assert.Equal(value, read);
            int shortest = value <= 127 ? 1 : value <= 255 ? 2 : value <= 65535 ? 3 : value <= uint.MaxValue ? 5 : 9;
            Assert.Equal(shortest, bytes.Length);
        }

        foreach (long value in Signed)
        {
            MessagePackReader reader = new(Write((ref MessagePackWriter writer) => writer.WriteSigned(value)));
            Assert.True(reader.TryReadSigned(out long read) && reader.IsAtEnd);
            Assert.Equal(value, read);
        }
    }

    [Fact]
    public void A_number_out_of_range_is_refused_and_stays_unread()
    {
        MessagePackReader negative = new(Write((ref MessagePackWriter writer) => writer.WriteSigned(-5)));
        Assert.False(negative.TryReadUnsigned(out _));
        Assert.True(negative.TryReadSigned(out long minusFive));
        Assert.Equal(-5, minusFive);

        MessagePackReader large = new(Write((ref MessagePackWriter writer) => writer.WriteUnsigned(ulong.MaxValue)));
        Assert.False(large.TryReadSigned(out _));
        Assert.True(large.TryReadUnsigned(out ulong all));
        Assert.Equal(ulong.MaxValue, all);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(31)]
    [InlineData(32)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(65535)]
    [InlineData(65536)]
    public void Strings_binaries_and_containers_of_every_header_width(int length)
    {
        byte[] content = new byte[length];
        Array.Fill(content, (byte)'x');
        MessagePackReader text = new(Write((ref MessagePackWriter writer) => writer.WriteString(content)));
        Assert.True(text.TryReadString(out ReadOnlySpan<byte> utf8) && text.IsAtEnd);
        Assert.Equal(content, utf8);

        MessagePackReader binary = new(Write((ref MessagePackWriter writer) => writer.WriteBinary(content)));
        Assert.True(binary.TryReadBinary(out ReadOnlySpan<byte> bytes) && binary.IsAtEnd);
        Assert.Equal(content, bytes);

        byte[] array = Write((ref MessagePackWriter writer) =>
        {
            writer.WriteArrayHeader(length);
            for (int i = 0; i < length; i++)
            {
                writer.WriteNil();
            }
        });
        MessagePackReader elements = new(array);
        Assert.True(elements.TryReadArrayHeader(out int count));
        Assert.Equal(length, count);
        Assert.True(new MessagePackReader(array).TrySkip());

        byte[] map = Write((ref MessagePackWriter writer) =>
        {
            writer.WriteMapHeader(length);
            for (int i = 0; i < 2 * length; i++)
            {
                writer.WriteBoolean(true);
            }
        });
        MessagePackReader pairs = new(map);
        Assert.True(pairs.TryReadMapHeader(out count));
        Assert.Equal(length, count);
    }

    [Fact]
    public void Doubles_booleans_and_nil()
    {
        MessagePackReader reader = new(Write((ref MessagePackWriter writer) =>
        {
            writer.WriteDouble(-1.5e300);
            writer.WriteBoolean(true);
            writer.WriteBoolean(false);
            writer.WriteNil();
        }));
        Assert.True(reader.TryReadDouble(out double number));
        Assert.Equal(-1.5e300, number);
        Assert.True(reader.TryReadBoolean(out bool value) && value);
        Assert.True(reader.TryReadBoolean(out value) && !value);
        Assert.False(reader.TryReadBoolean(out _));
        Assert.True(reader.TryReadNil() && reader.IsAtEnd);
        Assert.False(reader.TryReadNil());
    }

    [Fact]
    public void A_count_that_the_input_cannot_hold_is_refused_at_once()
    {
        Assert.False(new MessagePackReader([0xDF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00]).TryReadMapHeader(out _));
        Assert.False(new MessagePackReader([0xDD, 0x7F, 0xFF, 0xFF, 0xFF, 0x00]).TryReadArrayHeader(out _));
        Assert.False(new MessagePackReader([0xDB, 0xFF, 0xFF, 0xFF, 0xFF, 0x41]).TryReadString(out _));
        Assert.False(new MessagePackReader([0xC6, 0x80, 0x00, 0x00, 0x00, 0x41]).TryReadBinary(out _));
        Assert.False(new MessagePackReader([0xC9, 0xFF, 0xFF, 0xFF, 0xFF, 0x41]).TrySkip());
    }

    [Fact]
    public void Nesting_is_bounded()
    {
        byte[] deep = new byte[MessagePackReader.DepthMax + 1];
        Array.Fill(deep, (byte)0x91);
        deep[^1] = 0xC0;
        Assert.True(new MessagePackReader(deep).TrySkip());
        MessagePackReader deeper = new([0x91, .. deep]);
        Assert.False(deeper.TrySkip());
        Assert.Equal(0, deeper.Position);
    }

    [Fact]
    public void A_string_that_is_not_utf8_is_refused()
    {
        MessagePackReader reader = new([0xA2, 0xC3, 0x28]);
        Assert.False(reader.TryReadString(out _));
        Assert.Equal(0, reader.Position);
    }

    [Fact]
    public void What_does_not_fit_the_buffer_is_said_and_not_written()
    {
        byte[] buffer = new byte[4];
        MessagePackWriter writer = new(buffer.AsSpan(0, 3));
        writer.WriteString("abc"u8);
        Assert.True(writer.IsOverflown);
        writer.WriteNil();
        Assert.True(writer.Length <= 3);
        Assert.Equal(0, buffer[3]);
    }

    internal delegate void WriteAction(ref MessagePackWriter writer);

    internal static byte[] Write(WriteAction write)
    {
        byte[] buffer = new byte[256 * 1024];
        MessagePackWriter writer = new(buffer);
        write(ref writer);
        Assert.False(writer.IsOverflown);
        return buffer[..writer.Length];
    }
}
