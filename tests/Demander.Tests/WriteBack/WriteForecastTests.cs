using Hecatonchire.Pages;
using Hecatonchire.WriteBack;
using Xunit;

namespace Hecatonchire.Tests.WriteBack;

public class WriteForecastTests
{
    private readonly WriteForecast _forecast = new();

    [Fact]
    public void A_single_write_lets_one_page_through() => Assert.Equal(1, Fault(100));

    [Theory]
    [InlineData(1)]
    [InlineData(-1)]
    public void A_stream_of_writes_is_let_through_twice_as_far_each_time(int direction)
    {
        long page = 10_000;
        foreach (int expected in (int[])[1, 2, 4, 8, 16, 32, 64, 64])
        {
            int run = Fault(page);
            Assert.Equal(expected, Math.Abs(run));
            Assert.True(expected == 1 || Math.Sign(run) == direction);
            page += direction * Math.Abs(run);
        }
    }

    [Fact]
    public void Two_streams_that_meet_as_in_a_partition_are_both_followed()
    {
        (long low, long high) = (0, 10_000);
        for (int i = 0; i < 8; i++)
        {
            low += Math.Abs(Fault(low));
            high -= Math.Abs(Fault(high));
        }

        Assert.Equal(64, Fault(low));
        Assert.Equal(-64, Fault(high));
    }

    [Fact]
    public void A_program_that_writes_what_it_reads_gets_its_pages_unprotected_until_it_stops()
    {
        int protectedPages = 0;
        for (int page = 0; page < 10_000; page++)
        {
            if (_forecast.Protects(1))
            {
                protectedPages++;
                Fault(page * 1000L);
            }
        }

        Assert.InRange(protectedPages, 1, 1000);
        Assert.Contains(Enumerable.Range(0, 20_000), _ => _forecast.Protects(1));
    }

    [Fact]
    public void A_program_that_seldom_writes_keeps_its_pages_protected()
    {
        for (int page = 0; page < 100_000; page++)
        {
            Assert.True(_forecast.Protects(1));
            if (page % 20 == 0)
            {
                Fault(page * 1000L);
            }
        }
    }

    private int Fault(long page)
    {
        int run = _forecast.OnWriteFault(new PageId(0, page), out int stream);
        PageId other = new(0, page + (run > 0 ? run - 1 : run + 1));
        _forecast.LetThrough(stream, run > 0 ? new PageId(0, page) : other, run > 0 ? other : new PageId(0, page));
        return run;
    }
}
