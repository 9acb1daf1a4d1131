using System.Buffers;
using Hecatonchire.Control.Messages;
using MessagePack;
using Xunit;

namespace Hecatonchire.Tests.Control;

/// <summary>What a field may be, and that nothing which anybody may send throws, recurses without bound or is taken for something else.</summary>
public sealed class ControlMapTests
{
    [Theory]
    [InlineData("00", 0UL)]
    [InlineData("7F", 127UL)]
    [InlineData("CC05", 5UL)]
    [InlineData("CCFF", 255UL)]
    [InlineData("CDFFFF", 65_535UL)]
    [InlineData("CEFFFFFFFF", uint.MaxValue)]
    [InlineData("CF8000000000000000", 1UL << 63)]
    [InlineData("CFFFFFFFFFFFFFFFFF", ulong.MaxValue)]
    [InlineData("D07F", 127UL)]
    [InlineData("D10005", 5UL)]
    [InlineData("D27FFFFFFF", int.MaxValue)]
    [InlineData("D37FFFFFFFFFFFFFFF", long.MaxValue)]
    public void An_integer_of_any_width_and_sign_is_read(string value, ulong expected)
    {
        ControlMap map = Open(value);
        Assert.True(map.TryGetUnsigned("a"u8, out ulong read));
        Assert.Equal(expected, read);
        Assert.Equal(expected <= long.MaxValue, map.TryGetCount("a"u8, out long count));
        Assert.Equal(expected <= long.MaxValue ? (long)expected : 0, count);
        Assert.Equal(expected <= 65_535, map.TryGetInt32("a"u8, ushort.MaxValue, out _));
    }

    [Theory]
    [InlineData("FF")]
    [InlineData("E0")]
    [InlineData("D080")]
    [InlineData("D1FFFF")]
    [InlineData("D2FFFFFFFF")]
    [InlineData("D38000000000000000")]
    [InlineData("C0")]
    [InlineData("C3")]
    [InlineData("CA3F800000")]
    [InlineData("CB3FF0000000000000")]
    [InlineData("A135")]
    [InlineData("C40105")]
    [InlineData("9105")]
    [InlineData("8105C0")]
    [InlineData("D40105")]
    public void What_is_no_integer_of_0_or_more_is_none(string value)
    {
        ControlMap map = Open(value);
        Assert.False(map.TryGetUnsigned("a"u8, out _) || map.TryGetCount("a"u8, out _) || map.TryGetInt32("a"u8, int.MaxValue, out _));
        Assert.False(map.TryGetUnsigned("b"u8, out _));
    }

    [Fact]
    public void A_str_is_no_bin_and_a_bin_no_str()
    {
        ControlMap text = Open("A3616263");
        Assert.True(text.TryGetString("a"u8, out ReadOnlySpan<byte> utf8) && utf8.SequenceEqual("abc"u8));
        Assert.False(text.TryGetBinary("a"u8, 3, out _));
        ControlMap binary = Open("C403616263");
        Assert.True(binary.TryGetBinary("a"u8, 3, out ReadOnlySpan<byte> bytes) && bytes.SequenceEqual("abc"u8));
        Assert.False(binary.TryGetBinary("a"u8, 4, out _));
        Assert.False(binary.TryGetString("a"u8, out _));
        Assert.False(Open("C0").TryGetBinary("a"u8, 0, out _) || Open("C0").TryGetString("a"u8, out _) || Open("C0").TryGetArray("a"u8, out _, out _, out _));
    }

    [Theory]
    [InlineData("DFFFFFFFFF00")]
    [InlineData("DF0000000200C0")]
    [InlineData("DD7FFFFFFF00")]
    [InlineData("DDFFFFFFFF00")]
    [InlineData("DBFFFFFFFF41")]
    [InlineData("C68000000041")]
    [InlineData("C9FFFFFFFF0141")]
    [InlineData("C97FFFFFFF0141")]
    [InlineData("D90541")]
    [InlineData("CF00")]
    [InlineData("C1")]
    [InlineData("91C1")]
    [InlineData("A2C328")]
    [InlineData("91A2C328")]
    [InlineData("81A2C328C0")]
    [InlineData("")]
    public void A_value_that_is_cut_off_too_long_or_none_makes_no_message(string value) => Assert.False(TryOpen(value, out _));

    [Theory]
    [InlineData("")]
    [InlineData("C1")]
    [InlineData("C0")]
    [InlineData("90")]
    [InlineData("DFFFFFFFFF")]
    [InlineData("DFFFFFFFFF00")]
    [InlineData("8101C0")]
    [InlineData("81C0C0")]
    [InlineData("81C40161C0")]
    [InlineData("81A1FFC0")]
    [InlineData("80C0")]
    [InlineData("82A161C0A161C0")]
    public void A_frame_that_is_not_one_map_of_distinct_strings_is_no_message(string frame) =>
        Assert.False(ControlMap.TryOpen(Convert.FromHexString(frame), out _));

    [Fact]
    public void Nesting_is_bounded_and_costs_no_stack()
    {
        string deepest = string.Concat(Enumerable.Repeat("91", ControlMap.DepthMax)) + "C0";
        Assert.True(TryOpen(deepest, out _));
        Assert.False(TryOpen("91" + deepest, out _));
        Assert.False(TryOpen("8105" + deepest, out _));
        Assert.False(TryOpen(string.Concat(Enumerable.Repeat("91", 60_000)) + "C0", out _));
        Assert.False(TryOpen(string.Concat(Enumerable.Repeat("81C0", 30_000)) + "C0", out _));
        Assert.False(TryOpen(string.Concat(Enumerable.Repeat("91", 60_000)), out _));
    }

    [Fact]
    public void Wide_values_are_passed_whatever_they_hold()
    {
        byte[] frame = Write((ref MessagePackWriter writer) =>
        {
            writer.WriteMapHeader(2);
            writer.WriteString("later"u8);
            writer.WriteArrayHeader(20_000);
            for (int i = 0; i < 20_000; i++)
            {
                writer.WriteNil();
            }

            writer.WriteString("a"u8);
            writer.Write(7);
        });
        Assert.True(ControlMap.TryOpen(frame, out ControlMap map) && map.TryGetUnsigned("a"u8, out ulong seven) && seven == 7);
    }

    internal delegate void WriteAction(ref MessagePackWriter writer);

    internal static byte[] Write(WriteAction write)
    {
        ArrayBufferWriter<byte> buffer = new();
        MessagePackWriter writer = new(buffer);
        write(ref writer);
        writer.Flush();
        return buffer.WrittenSpan.ToArray();
    }

    /// <summary>A map with the field "a" of that value.</summary>
    private static bool TryOpen(string value, out ControlMap map) => ControlMap.TryOpen(Convert.FromHexString("81A161" + value), out map);

    private static ControlMap Open(string value)
    {
        Assert.True(TryOpen(value, out ControlMap map));
        return map;
    }
}
