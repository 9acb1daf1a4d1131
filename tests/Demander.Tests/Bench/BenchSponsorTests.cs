using Hecatonchire.Bench;
using Xunit;

namespace Hecatonchire.Tests.Bench;

public class BenchSponsorTests
{
    /// <summary>384 MiB are one slab of 512 MiB: a sponsor of 448 MiB refused them.</summary>
    [Theory]
    [InlineData(4, 64)]
    [InlineData(64, 64)]
    [InlineData(65, 128)]
    [InlineData(384, 512)]
    [InlineData(1024, 1024)]
    [InlineData(1500, 2048)]
    public void The_embedded_sponsor_offers_the_slabs_that_a_program_of_this_size_needs(long programMiB, long offerMiB) =>
        Assert.Equal(offerMiB << 20, BenchRun.SponsorBytes(programMiB << 20));
}
