using Hecatonchire.Bench.Suite;
using Xunit;

namespace Hecatonchire.Tests.Bench.Suite;

public sealed class SpreadTests
{
    [Theory]
    [InlineData(new[] { 3.0 }, 3, 3, 3)]
    [InlineData(new[] { 9.0, 1, 4 }, 4, 1, 9)]
    [InlineData(new[] { 8.0, 2, 4, 100 }, 6, 2, 100)]
    public void Median_least_and_greatest(double[] values, double median, double min, double max) =>
        Assert.Equal(new Spread(median, min, max, values.Length), Spread.Of(values));

    [Fact]
    public void Nothing_has_none() => Assert.Null(Spread.Of([]));
}
