using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Transport.Striped;

public sealed unsafe class PageSumTests
{
    [Fact]
    public void Every_single_bit_counts_and_so_does_the_place_of_a_word()
    {
        using PageBuffer pages = new(1);
        var random = new Random(5);
        var bytes = new Span<byte>(pages[0], PageSize.Bytes);
        random.NextBytes(bytes);
        uint sum = PageSum.Of(pages[0]);
        for (int bit = 0; bit < PageSize.Bytes * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.NotEqual(sum, PageSum.Of(pages[0]));
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        Assert.Equal(sum, PageSum.Of(pages[0]));
        ulong* words = (ulong*)pages[0];
        for (int word = 1; word < PageSize.Bytes / 8; word++)
        {
            (words[0], words[word]) = (words[word], words[0]);
            Assert.NotEqual(sum, PageSum.Of(pages[0]));
            (words[0], words[word]) = (words[word], words[0]);
        }
    }

    [Fact]
    public void No_page_has_the_sum_that_stands_for_none()
    {
        using PageBuffer pages = new(1);
        Assert.NotEqual(0u, PageSum.Of(pages[0]));
        new Span<byte>(pages[0], PageSize.Bytes).Fill(0xFF);
        Assert.NotEqual(0u, PageSum.Of(pages[0]));
    }
}
