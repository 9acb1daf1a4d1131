using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Hecatonchire.Native;
using Xunit;

namespace Hecatonchire.Tests;

public sealed class StatisticsLayoutTests
{
    [Fact]
    public unsafe void Fields_are_those_of_heca_h_in_order()
    {
        string body = Regex.Match(File.ReadAllText(NativePaths.Header), @"struct heca_statistics \{(.*?)\};", RegexOptions.Singleline)
            .Groups[1].Value;
        var fields = Regex.Matches(body, @"uint64_t (\w+)(?:\[(\d+)\])?;").ToList();
        Assert.Equal(14, fields.Count);
        Assert.Equal(Unsafe.SizeOf<SponsoredMemoryStatistics>(), fields.Sum(f => f.Groups[2].Success ? 8 * int.Parse(f.Groups[2].Value) : 8));

        // Field i holds i + 1, so a property that reads another field returns another number.
        ulong* words = stackalloc ulong[16];
        for (int i = 0; i < 16; i++)
        {
            words[i] = (ulong)i + 1;
        }

        SponsoredMemoryStatistics statistics = *(SponsoredMemoryStatistics*)words;
        for (int i = 0; i < fields.Count - 1; i++)
        {
            string property = string.Concat(fields[i].Groups[1].Value.Split('_').Select(word => char.ToUpperInvariant(word[0]) + word[1..]));
            Assert.Equal((long)i + 1, typeof(SponsoredMemoryStatistics).GetProperty(property)?.GetValue(statistics));
        }
    }

    [Fact]
    public void Abi_version_and_advice_are_those_of_heca_h()
    {
        string header = File.ReadAllText(NativePaths.Header);
        Assert.Contains($"#define HECA_ABI_VERSION {HecaLibrary.AbiVersion}\n", header, StringComparison.Ordinal);
        foreach (SponsoredMemoryAdvice advice in Enum.GetValues<SponsoredMemoryAdvice>())
        {
            string name = Regex.Replace(advice.ToString(), "(?<=.)([A-Z])", "_$1").ToUpperInvariant();
            Assert.Contains($"HECA_ADVICE_{name} = {(int)advice},", header, StringComparison.Ordinal);
        }
    }
}
