using System.IO.Compression;
using Hecatonchire.Bench;
using Hecatonchire.Bench.Workloads;
using Xunit;

namespace Hecatonchire.Tests.Bench;

/// <summary>
/// How far a page of each workload compresses. Deflate finds every repetition that lz4 and lzo find, and codes what is left more
/// tightly: its ratio bounds theirs from above, and the bytes that must stay bound it from below.
/// </summary>
public sealed unsafe class FillDataTests
{
    private const int Page = 4096;

    [Theory]
    [InlineData("fault")]
    [InlineData("scan")]
    [InlineData("random-walk")]
    [InlineData("zipf")]
    public void A_page_compresses_to_between_1_2_and_1_5(string name) => Assert.All(Ratios(name), ratio => Assert.InRange(ratio, 1.3, 1.42));

    /// <summary>Before they are sorted; sorted ones share their first bytes with their neighbours.</summary>
    [Fact]
    public void Integers_to_sort_do_not_compress() => Assert.All(Ratios("quicksort"), ratio => Assert.InRange(ratio, 0.95, 1.05));

    [Fact]
    public void A_word_is_known_from_its_place_alone()
    {
        ulong[] group = [.. Enumerable.Range(0, 32).Select(i => FillData.WordAt(7, 3200 + i))];
        Assert.Equal(22, group.Distinct().Count());
        Assert.Equal(group[..10], group[22..]);
        Assert.NotEqual(FillData.WordAt(7, 0), FillData.WordAt(7, 32));
        Assert.NotEqual(FillData.WordAt(7, 0), FillData.WordAt(8, 0));
    }

    private static List<double> Ratios(string name)
    {
        const int pages = 512;
        Assert.True(WorkloadNames.TryParse(name, out WorkloadKind kind));
        using var memory = new LocalBenchMemory(pages * Page);
        Workload.Create(memory, new WorkloadOptions { Kind = kind, Bytes = memory.Bytes }, new PhaseProgress()).Fill();
        List<double> ratios = [];
        for (int page = 0; page < pages; page++)
        {
            using var compressed = new MemoryStream();
            using (var deflate = new DeflateStream(compressed, CompressionLevel.SmallestSize, leaveOpen: true))
            {
                deflate.Write(new ReadOnlySpan<byte>(memory.Address + ((long)page * Page), Page));
            }

            ratios.Add((double)Page / compressed.Length);
        }

        return ratios;
    }
}
