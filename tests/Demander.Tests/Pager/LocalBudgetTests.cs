using Hecatonchire.Pager;
using Xunit;

namespace Hecatonchire.Tests.Pager;

public class LocalBudgetTests
{
    [Theory]
    [InlineData("256MiB", 1L << 40, 256L << 20)]
    [InlineData("1MiB", 0, 1L << 20)]
    [InlineData("1:4", 1L << 30, 256L << 20)]
    [InlineData("3:4", 4096L * 1001, 4096L * 750)]
    [InlineData("1:1", 1L << 45, 1L << 45)]
    [InlineData("1:4", 0, LocalBudget.BytesMin)]
    [InlineData("2147483647:2147483647", 1L << 45, 1L << 45)]
    [InlineData("1048577", 0, 1L << 20)]
    public void It_is_whole_pages_of_a_size_or_a_share(string text, long allocated, long expected)
    {
        Assert.True(LocalBudget.TryParse(text, out LocalBudget budget));
        Assert.Equal(expected, budget.Resolve(allocated));
    }

    [Theory]
    [InlineData("")]
    [InlineData(null)]
    [InlineData("1023KiB")]
    [InlineData("0")]
    [InlineData("-1:4")]
    [InlineData("0:4")]
    [InlineData("5:4")]
    [InlineData("1:0")]
    [InlineData("1:4:2")]
    [InlineData("1:")]
    [InlineData(":4")]
    [InlineData("a:b")]
    [InlineData("1 :4")]
    [InlineData("99999999999:99999999999")]
    public void Anything_else_is_refused(string? text) => Assert.False(LocalBudget.TryParse(text, out _));

    [Theory]
    [InlineData("256MiB")]
    [InlineData("1:4")]
    public void It_reads_as_it_was_written(string text)
    {
        Assert.True(LocalBudget.TryParse(text, out LocalBudget budget));
        Assert.Equal(text, budget.ToString());
    }
}
