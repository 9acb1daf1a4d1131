using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>The samples, each over a real sponsor, with a fraction of the memory they need.</summary>
public class SampleTests
{
    [Theory]
    [InlineData("none", "")]
    [InlineData("window", "")]
    [InlineData("trend", "")]
    [InlineData("trend", "copy")]
    public void The_C_sample_sorts_in_an_eighth_of_its_memory(string prefetch, string take)
    {
        using var sponsor = new SponsorProcess("512MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB", Enum.Parse<PrefetchKind>(prefetch, ignoreCase: true));

        (int exitCode, string output, string error) = paged.Run("heca-sample", ["4194304"], ("HECA_TAKE", take));

        Assert.Equal("", error);
        Assert.Contains("ok", output, StringComparison.Ordinal);
        Assert.Equal(0, exitCode);
        PagerSnapshot figures = paged.Host.Snapshot();
        Assert.True(figures.PagesOut > 0 && figures.PagesIn > 0, figures.ToString());
        Assert.InRange(figures.ResidentPeakBytes, 1, 8 << 20);
        Assert.Null(paged.Host.Failure);
    }
}
