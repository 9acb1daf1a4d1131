using System.Diagnostics;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Host;
using Hecatonchire.Tests.Host;
using Xunit;

namespace Hecatonchire.Tests.Bench.Swap;

/// <summary>What a swap area needs before the kernel gets it.</summary>
public sealed class SwapAreaTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void The_header_is_mkswaps_but_for_its_identifier()
    {
        const string mkswap = "/usr/sbin/mkswap";
        HostCapability.Require("mkswap", File.Exists(mkswap), "no /usr/sbin/mkswap: apt-get install util-linux");
        const int bytes = 1 << 20, identifier = 1036, identifierLength = 16, page = 4096;
        string ours = Path.Combine(_directory, "ours"), theirs = Path.Combine(_directory, "theirs");
        using (var file = new FileStream(ours, FileMode.Create))
        {
            file.SetLength(bytes);
            SwapHeader.Write(file, bytes);
        }

        File.WriteAllBytes(theirs, new byte[bytes]);
        using (Process process = Process.Start(new ProcessStartInfo(mkswap, [theirs]) { RedirectStandardOutput = true, RedirectStandardError = true })!)
        {
            process.WaitForExit();
            Assert.Equal(0, process.ExitCode);
        }

        byte[] expected = File.ReadAllBytes(theirs)[..page];
        expected.AsSpan(identifier, identifierLength).Clear();
        Assert.Equal(expected, File.ReadAllBytes(ours)[..page]);
    }

    [Theory]
    [InlineData("/disk/swap", null)]
    [InlineData("/memory/swap", "in memory (tmpfs)")]
    [InlineData("/memory", "in memory (tmpfs)")]
    [InlineData("/memorywise", null)]
    [InlineData("/loop/swap", "loop3")]
    [InlineData("/mapped/swap", "zram1")]
    [InlineData("/memory/disk/swap", null)]
    public void A_folder_must_be_on_a_disk(string folder, string? reason)
    {
        Write("proc/self/mountinfo", """
            27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
            28 27 0:25 / /memory rw,relatime shared:1 - tmpfs tmpfs rw
            29 27 7:3 / /loop rw,relatime - ext4 /dev/loop3 rw
            30 27 252:0 / /mapped rw,relatime - ext4 /dev/mapper/x rw
            31 28 254:0 / /memory/disk rw,relatime - ext4 /dev/vda rw
            """);
        Write("sys/dev/block/254:0/uevent", "MAJOR=254\nMINOR=0\nDEVNAME=vda\nDEVTYPE=disk\n");
        Write("sys/dev/block/7:3/uevent", "MAJOR=7\nMINOR=3\nDEVNAME=loop3\n");
        Write("sys/dev/block/252:0/uevent", "MAJOR=252\nMINOR=0\nDEVNAME=dm-0\n");
        Write("sys/dev/block/252:0/slaves/vda/uevent", "DEVNAME=vda\n");
        Write("sys/dev/block/252:0/slaves/zram1/uevent", "DEVNAME=zram1\n");
        string? refused = DiskFolder.WhyNot(folder, new HostFiles(_directory));
        Assert.True(reason is null ? refused is null : refused?.Contains(reason, StringComparison.Ordinal) == true, refused);
    }

    [Fact]
    public void Symbolic_links_are_followed()
    {
        string link = Path.Combine(_directory, "link");
        File.CreateSymbolicLink(link, "/dev");
        Assert.Equal("/dev", DiskFolder.Resolve(link));
        Assert.Null(DiskFolder.Resolve(Path.Combine(_directory, "nothing")));
        Assert.Null(DiskFolder.Resolve("/proc/self/stat"));
    }

    private void Write(string path, string text)
    {
        string full = Path.Combine(_directory, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }
}
