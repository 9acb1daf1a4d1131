using Hecatonchire.Pager;
using Xunit;

namespace Hecatonchire.Tests.Status;

public sealed class SegmentCellsTests
{
    [Theory]
    [InlineData(0, 64, '0')]
    [InlineData(1, 64, '1')]
    [InlineData(32, 64, '5')]
    [InlineData(63, 64, '8')]
    [InlineData(64, 64, '9')]
    [InlineData(1, 1, '9')]
    public void A_digit_tells_none_all_and_the_eighths_between(long count, long size, char digit) => Assert.Equal(digit, SegmentCells.Digit(count, size));

    /// <summary>Lengths that divide into parts, that do not, and shorter than there are parts: a segment that is all here shows so, and one that lacks a page shows that.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(1000)]
    [InlineData(65536)]
    [InlineData(65537)]
    public void Each_page_is_counted_to_one_part_and_a_missing_one_is_seen(long pages)
    {
        var cells = new SegmentCells(2);
        long missing = pages / 3;
        for (long page = 0; page < pages; page++)
        {
            cells.Add(0, page, pages, PagePlace.Here);
            if (page != missing)
            {
                cells.Add(1, page, pages, PagePlace.Remote);
            }
        }

        cells.Add(1, missing, pages, PagePlace.Lost);
        cells.Add(2, 0, pages, PagePlace.Here);
        string all = cells.Digits(0, pages, PagePlace.Here)!;
        Assert.Equal(new string('9', (int)Math.Min(256, pages)), all);
        Assert.Equal(new string('0', all.Length), cells.Digits(0, pages, PagePlace.Remote));
        Assert.Single(cells.Digits(1, pages, PagePlace.Remote)!, digit => digit != '9');
        Assert.Single(cells.Digits(1, pages, PagePlace.Lost)!, digit => digit != '0');
        Assert.Null(cells.Digits(2, pages, PagePlace.Here));
    }
}
