using Hecatonchire.Capture;
using Hecatonchire.Install;
using Xunit;

namespace Hecatonchire.Tests.Capture;

public class CaptureRulesTests
{
    private const ulong MiB = 1UL << 20;

    private static readonly CaptureRules Rules = new() { Except = ["[anon:arena]"] };

    [Theory]
    [InlineData("rw-p", 0, "", true)]
    [InlineData("rw-p", 0, "[heap]", true)]
    [InlineData("rw-p", 0, "[anon:other]", true)]
    [InlineData("rw-p", 0, "[anon:arena]", false)]
    [InlineData("rw-p", 0, "[stack]", false)]
    [InlineData("rw-p", 7, "/dev/zero (deleted)", false)]
    [InlineData("rw-s", 0, "", false)]
    [InlineData("r--p", 0, "", false)]
    [InlineData("---p", 0, "", false)]
    [InlineData("rwxp", 0, "", false)]
    public void Only_private_anonymous_memory_that_is_read_and_written_is_captured(string permissions, ulong inode, string name, bool isEligible)
    {
        Mapping mapping = Map(permissions, 16 * MiB, 32 * MiB, inode, name);
        Assert.Equal(isEligible, Rules.IsEligible(mapping));
        Assert.Equal(isEligible ? [mapping.Range] : [], Rules.PiecesOf(mapping, []));
    }

    [Fact]
    public void Small_mappings_and_what_is_kept_out_stay_out()
    {
        Assert.Empty(Rules.PiecesOf(Map("rw-p", 16 * MiB, (17 * MiB) - 4096), []));
        Assert.Single(Rules.PiecesOf(Map("rw-p", 16 * MiB, 17 * MiB), []));

        // One at the start, one in the middle, one that leaves too little, one over the end, one elsewhere.
        AddressRange[] kept =
        [
            new(38 * MiB, (38 * MiB) + 4096), new(8 * MiB, 17 * MiB), new(24 * MiB, 25 * MiB), new((38 * MiB) + 8192, 39 * MiB),
            new(47 * MiB, 64 * MiB), new(100 * MiB, 101 * MiB),
        ];
        Assert.Equal(
            [new AddressRange(17 * MiB, 24 * MiB), new AddressRange(25 * MiB, 38 * MiB), new AddressRange(39 * MiB, 47 * MiB)],
            Rules.PiecesOf(Map("rw-p", 16 * MiB, 48 * MiB), kept));
        Assert.Empty(Rules.PiecesOf(Map("rw-p", 16 * MiB, 48 * MiB), [new AddressRange(0, 64 * MiB)]));
    }

    private static Mapping Map(string permissions, ulong start, ulong end, ulong inode = 0, string name = "") => new(
        new AddressRange(start, end), permissions[0] == 'r', permissions[1] == 'w', permissions[2] == 'x', permissions[3] == 's', inode, name);
}
