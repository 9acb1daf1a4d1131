using System.Diagnostics;
using Hecatonchire.Pressure;
using Xunit;

namespace Hecatonchire.Tests.Pressure;

/// <summary>
/// Where groups are found and what their files mean, from files in a temporary directory: all layouts that hosts and containers
/// have, cgroup v2 among them.
/// </summary>
public sealed class CgroupFilesTests : IDisposable
{
    private const long MiB = 1L << 20;
    private readonly string _root = Directory.CreateTempSubdirectory("heca-cgroup-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Version_2_takes_the_smallest_of_max_and_high_over_the_path()
    {
        Proc("0::/app.slice/heca.service\n", "31 23 0:28 / {0}/cg rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n");
        Group("app.slice", max: "268435456", high: "max", current: 190 * MiB);
        Group("app.slice/heca.service", max: "max", high: "134217728", current: 100 * MiB, inactiveFile: 20 * MiB, activeFile: 12 * MiB, dirty: 2 * MiB);
        using CgroupMemory memory = CgroupMemory.Find(7, $"{_root}/proc")!;
        Assert.Equal(2, memory.Version);
        Assert.Equal($"{_root}/cg/app.slice/heca.service", memory.Path);
        Assert.Equal(256 * MiB, memory.LimitBytes);
        Assert.Equal(128 * MiB, memory.HighBytes);
        Assert.Equal(100 * MiB, memory.ReadUsage());
        Assert.Equal(30 * MiB, memory.ReadReclaimableFile());

        // bound 128, margin 4, usage 100 of which 40 are sponsored and 30 are page cache: 30 are the rest.
        using var monitor = new PressureMonitor(memory, $"{_root}/proc");
        Assert.Contains("v2.events", monitor.Armed);
        monitor.AllowedResidentBytes(40 * MiB);
        Until(() => monitor.AllowedResidentBytes(40 * MiB) == 94 * MiB);

        // The outer group: 256 - 5.12 - (206 - 40) is a little less than 85, and less than the inner allows.
        Write("cg/app.slice/memory.current", 206 * MiB);
        Assert.True(monitor.Refresh(40 * MiB));
        Assert.InRange(monitor.AllowedResidentBytes(40 * MiB), 84 * MiB, 85 * MiB);
        Assert.False(monitor.Refresh(10 * MiB + 120 * MiB));
    }

    [Fact]
    public void Fallen_usage_is_taken_for_page_cache_until_memory_stat_is_read_again()
    {
        Proc("0::/a\n", "31 23 0:28 / {0}/cg rw - cgroup2 cgroup2 rw\n");
        Group("a", max: "134217728", high: "max", current: 100 * MiB, inactiveFile: 40 * MiB);
        using CgroupMemory memory = CgroupMemory.Find(7, $"{_root}/proc")!;
        CgroupLevel level = memory.Levels[0];
        level.Sample(100 * MiB, 30 * MiB);
        Assert.Equal(30 * MiB, level.OtherBytes(100 * MiB, 30 * MiB));
        Assert.Equal(30 * MiB, level.OtherBytes(60 * MiB, 30 * MiB));
        Assert.Equal(20 * MiB, level.OtherBytes(50 * MiB, 30 * MiB));
        Assert.Equal(45 * MiB, level.OtherBytes(115 * MiB, 30 * MiB));
        Assert.Equal(0, level.OtherBytes(20 * MiB, 30 * MiB));
    }

    [Fact]
    public void A_v1_controller_wins_over_the_unified_mount_of_a_hybrid_host()
    {
        Proc(
            "4:memory:/box\n1:name=systemd:/\n0::/unified\n",
            "35 31 0:32 / {0}/v1 rw - cgroup cgroup rw,memory\n41 31 0:38 / {0}/cg rw - cgroup2 cgroup2 rw\n");
        V1("v1/box", limit: 64 * MiB, hierarchical: 48 * MiB);
        Group("unified", max: "1048576", high: "max", current: 0);
        using CgroupMemory memory = CgroupMemory.Find(7, $"{_root}/proc")!;
        Assert.Equal(1, memory.Version);
        Assert.Equal(48 * MiB, memory.LimitBytes);
        Assert.Equal(5 * MiB, memory.ReadReclaimableFile());
    }

    [Fact]
    public void A_container_sees_its_own_part_of_the_hierarchy_as_the_mount()
    {
        Proc("9:cpuset,memory:/docker/abc\n", "35 31 0:32 /docker/abc {0}/mount\\040point rw master:9 - cgroup cgroup rw,cpuset,memory\n");
        V1("mount point", limit: 32 * MiB, hierarchical: long.MaxValue);
        using CgroupMemory memory = CgroupMemory.Find(7, $"{_root}/proc")!;
        Assert.Equal($"{_root}/mount point", memory.Path);
        Assert.Equal(32 * MiB, memory.LimitBytes);
    }

    [Theory]
    [InlineData("0::/gone\n")]
    [InlineData("0::/a (deleted)\n")]
    [InlineData("0::/../outside\n")]
    [InlineData("")]
    [InlineData("nonsense\n::\n")]
    public void What_cannot_be_found_is_no_group(string groups)
    {
        Proc(groups, "31 23 0:28 / {0}/cg rw - cgroup2 cgroup2 rw\nbroken line\n- - -\n");
        Group("a", max: "1048576", high: "max", current: 0);
        Assert.Null(CgroupMemory.Find(7, $"{_root}/proc"));
    }

    [Fact]
    public void A_mount_of_another_part_is_not_taken_for_a_prefix()
    {
        Proc("4:memory:/box2\n", "35 31 0:32 /box {0}/v1 rw - cgroup cgroup rw,memory\n");
        V1("v1", limit: 64 * MiB, hierarchical: 64 * MiB);
        Assert.Null(CgroupMemory.Find(7, $"{_root}/proc"));
    }

    [Theory]
    [InlineData("max\n", long.MaxValue)]
    [InlineData("9223372036854771712\n", long.MaxValue)]
    [InlineData("18446744073709551615", long.MaxValue)]
    [InlineData("0\n", 0)]
    [InlineData("4096 x", 4096)]
    [InlineData("99999999999999999999999", -1)]
    [InlineData("-5", -1)]
    [InlineData("", -1)]
    public void Numbers_of_the_kernel(string text, long expected) =>
        Assert.Equal(expected, KernelFile.ParseNumber(System.Text.Encoding.ASCII.GetBytes(text)));

    [Theory]
    [InlineData(8 * MiB, 2 * MiB)]
    [InlineData(64 * MiB, 4 * MiB)]
    [InlineData(1000 * MiB, 20 * MiB)]
    public void The_margin(long bound, long expected) => Assert.Equal(expected, CgroupLevel.MarginOf(bound));

    /// <summary>As in a container; seen in cgroup v2: the pager's own buffers came when the group was full, and the kernel killed.</summary>
    [Theory]
    [InlineData("0::/a/b\n", true, true)]
    [InlineData("0::/a\n", true, false)]
    [InlineData("0::/aa\n", false, false)]
    public void Where_the_pager_is_in_the_group_too_there_is_room_for_its_buffers(string pagerGroups, bool outer, bool inner)
    {
        Proc("0::/a/b\n", "31 23 0:28 / {0}/cg rw - cgroup2 cgroup2 rw\n");
        string pager = $"{_root}/proc/{Environment.ProcessId}";
        Directory.CreateDirectory(pager);
        File.WriteAllText($"{pager}/cgroup", pagerGroups);
        Group("a", max: "209715200", high: "max", current: 0);
        Group("a/b", max: "max", high: "134217728", current: 0);
        using CgroupMemory memory = CgroupMemory.Find(7, $"{_root}/proc")!;
        Assert.Equal((4 + (inner ? 24 : 0)) * MiB, memory.Levels[0].MarginBytes);
        Assert.Equal((4 + (outer ? 24 : 0)) * MiB, memory.Levels[1].MarginBytes);
        Assert.Equal(8 * MiB, CgroupLevel.MarginOf(32 * MiB, hasPager: true));

        using var monitor = new PressureMonitor(memory, $"{_root}/proc");
        Assert.True(monitor.Refresh(0));
        Assert.Equal((124 - (inner ? 24 : 0)) * MiB, monitor.AllowedResidentBytes(0));
    }

    [Fact]
    public void Without_a_group_only_the_host_limits()
    {
        using var monitor = new PressureMonitor(null);
        Assert.Equal(long.MaxValue, monitor.AllowedResidentBytes(1L << 40));
        Assert.True(monitor.Refresh(1L << 40));
        Assert.Null(monitor.Memory);
    }

    [Theory]
    [InlineData(10_000_000, 1_000_000, -800_000)]
    [InlineData(10_000_000, 150_000, 50_000)]
    [InlineData(1_000_000, 65_536, 0)]
    [InlineData(1_000_000, 60_536, 5_000)]
    public void What_the_host_lacks(long totalKb, long availableKb, long missingKb)
    {
        Write("meminfo", $"MemTotal:       {totalKb} kB\nMemFree:  1 kB\nMemAvailable:   {availableKb} kB\n");
        using var host = new HostMemory(_root);
        Assert.Equal(missingKb * 1024, host.ReadMissing());
    }

    private static void Until(Func<bool> condition)
    {
        var waited = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(waited.Elapsed < TimeSpan.FromSeconds(5), "the state did not come within its deadline");
            Thread.Yield();
        }
    }

    private void Proc(string groups, string mounts)
    {
        Write("proc/7/cgroup", groups);
        Write("proc/self/mountinfo", mounts.Replace("{0}", _root, StringComparison.Ordinal));
    }

    private void Group(string path, string max, string high, long current, long inactiveFile = 0, long activeFile = 0, long dirty = 0)
    {
        Write($"cg/{path}/memory.max", $"{max}\n");
        Write($"cg/{path}/memory.high", $"{high}\n");
        Write($"cg/{path}/memory.current", current);
        Write($"cg/{path}/memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n");
        Write($"cg/{path}/memory.stat", $"anon 4096\nfile 1\ninactive_file {inactiveFile}\nactive_file {activeFile}\nfile_dirty {dirty}\nfile_writeback 0\n");
    }

    private void V1(string path, long limit, long hierarchical)
    {
        Write($"{path}/memory.limit_in_bytes", limit);
        Write($"{path}/memory.usage_in_bytes", 0);
        Write($"{path}/memory.stat", $"cache 1\ninactive_file 99\nhierarchical_memory_limit {hierarchical}\n"
            + $"total_inactive_file {3 * MiB}\ntotal_active_file {3 * MiB}\ntotal_dirty {MiB}\ntotal_writeback 0\n");
    }

    private void Write(string path, long number) => Write(path, $"{number}\n");

    private void Write(string path, string text)
    {
        string full = $"{_root}/{path}";
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllText(full, text);
    }
}
