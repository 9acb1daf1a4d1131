using Hecatonchire.Bench;
using Hecatonchire.Bench.Swap;
using Hecatonchire.Host;
using Hecatonchire.Pressure;
using Hecatonchire.Tests.Host;
using Xunit;

namespace Hecatonchire.Tests.Bench.Swap;

/// <summary>Tests that swap for real: the swap areas of a host are one thing for all its processes, so these run alone.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public static class SwapHost
{
    public const string Name = "swap of the host";

    internal static void Require(MemorySystem system)
    {
        bool possible = Environment.UserName == "root" && CgroupLocator.Find(Environment.ProcessId, "/proc") is not null
            && DiskFolder.WhyNot(SwapFile.DefaultDirectory) is null;
        HostCapability.Require("swap", possible, "needs root, a memory cgroup, and /var/tmp on a disk");
        if (system is MemorySystem.ZramLzoRle or MemorySystem.ZramLz4)
        {
            HostCapability.Require("zram", Directory.Exists(ZramDevice.Control), "this kernel has no zram");
        }
        else if (system == MemorySystem.Zswap)
        {
            HostCapability.Require("zswap", Directory.Exists("/sys/module/zswap/parameters"), "this kernel has no zswap");
        }
    }

    /// <summary>Everything that a swap system changes, as text: swap areas, zram devices, settings of zswap, groups, files.</summary>
    internal static string State()
    {
        var files = new HostFiles();
        CgroupLocation own = CgroupLocator.Find(Environment.ProcessId, "/proc")!.Value;
        string parent = own.Version == 1 ? own.Directory : own.MountPoint;
        IEnumerable<string> lines =
        [
            .. (files.Read("/proc/swaps") ?? "").Split('\n').Skip(1).Select(line => "swap " + line.Split(' ')[0]),
            .. files.List("/sys/block").Where(n => n.StartsWith("zram", StringComparison.Ordinal)).Select(n => $"{n} {files.Read($"/sys/block/{n}/disksize")}"),
            .. new[] { "enabled", "compressor", "max_pool_percent" }.Select(n => $"zswap {n} {files.Read($"/sys/module/zswap/parameters/{n}")}"),
            .. files.List(parent).Where(IsOurs),
            .. files.List(SwapFile.DefaultDirectory).Where(IsOurs),
            files.Exists(SwapJournal.DefaultPath) ? SwapJournal.DefaultPath : "no journal",
        ];
        return string.Join('\n', lines);

        static bool IsOurs(string name) => name.StartsWith("heca-bench-", StringComparison.Ordinal);
    }
}
