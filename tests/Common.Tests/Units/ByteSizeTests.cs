using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Units;

public class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("4096", 4096)]
    [InlineData("256MiB", 256L << 20)]
    [InlineData("256 mib", 256L << 20)]
    [InlineData(" 8G ", 8L << 30)]
    [InlineData("1.5GiB", 3L << 29)]
    [InlineData("2TB", 2_000_000_000_000)]
    [InlineData("10kb", 10_000)]
    [InlineData("7B", 7)]
    [InlineData("4194304TiB", 1L << 62)]
    [InlineData("4611686018427387904", 1L << 62)]
    public void Sizes_are_read_as_people_write_them(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out ByteSize size));
        Assert.Equal(bytes, size.Bytes);
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("  ")]
    [InlineData("MiB")]
    [InlineData("-1")]
    [InlineData("1e9")]
    [InlineData("1,000")]
    [InlineData("1 2MiB")]
    [InlineData("5PiB")]
    [InlineData("4194305TiB")]
    [InlineData("99999999999999999999999999999")]
    public void Anything_else_is_refused(string? text) => Assert.False(ByteSize.TryParse(text, out _));

    [Fact]
    public void The_error_names_the_text()
    {
        FormatException error = Assert.Throws<FormatException>(() => ByteSize.Parse("lots"));
        Assert.Contains("'lots'", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0, "0B")]
    [InlineData(4096, "4KiB")]
    [InlineData(3L << 29, "1.5GiB")]
    [InlineData(256L << 20, "256MiB")]
    [InlineData(1L << 40, "1TiB")]
    [InlineData(1000, "1000B")]
    public void Sizes_are_written_in_the_largest_unit(long bytes, string expected) => Assert.Equal(expected, new ByteSize(bytes).ToString());
}
