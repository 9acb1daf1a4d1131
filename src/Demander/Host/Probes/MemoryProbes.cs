using Hecatonchire.Pressure;
using Hecatonchire.Units;

namespace Hecatonchire.Host.Probes;

/// <summary>How the kernel limits, reports and moves memory here.</summary>
internal static class MemoryProbes
{
    public static HostProbe Cgroup(HostFacts host)
    {
        using CgroupMemory? memory = CgroupMemory.FindAny(host.ProcessId, host.Files.ProcRoot);
        string? unified = host.Files.Read("/sys/fs/cgroup/cgroup.controllers");
        if (memory is null)
        {
            return unified is null || unified.Split(' ').Contains("memory")
                ? new HostProbe("cgroup", ProbeStatus.Ok, unified is null ? "no memory controller" : $"v2 ({unified}), at the top: no memory limit",
                    "nothing limits a program's memory but the host")
                : new HostProbe("cgroup", ProbeStatus.Warn, $"v2 ({unified})", "the memory controller is off: the pager cannot see a container's limit",
                    "echo +memory | sudo tee /sys/fs/cgroup/cgroup.subtree_control");
        }

        long bound = Math.Min(memory.LimitBytes, memory.HighBytes);
        string controllers = memory.Version == 1 ? "memory" : unified ?? "memory";
        string found = $"v{memory.Version} ({controllers}) {memory.Path}, limit {(bound == long.MaxValue ? "none" : new ByteSize(bound))}";
        return new HostProbe("cgroup", ProbeStatus.Ok, found, bound == long.MaxValue
            ? "only --local bounds what stays resident"
            : $"the pager keeps the program {new ByteSize(CgroupLevel.MarginOf(bound))} below the limit");
    }

    public static HostProbe PressureStall(HostFacts host)
    {
        const string Path = "/proc/pressure/memory";
        if (host.Files.Read(Path) is null)
        {
            return new HostProbe("psi", ProbeStatus.Warn, "no /proc/pressure/memory", "a host short of memory is not noticed; cgroup limits are",
                "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&psi=1 /' /etc/default/grub && sudo update-grub && sudo reboot");
        }

        // Unprivileged users get windows that are multiples of 2 s (kernel 6.5 and later), none before that.
        return host.Files.TryArm(Path, "some 100000 2000000\0"u8)
            ? new HostProbe("psi", ProbeStatus.Ok, "on, triggers permitted", "the pager learns when the host is short of memory")
            : new HostProbe("psi", ProbeStatus.Warn, "on, triggers not permitted to this user",
                "a host short of memory is not noticed; cgroup limits are", "sudo setcap cap_sys_resource+ep \"$(command -v heca)\"");
    }

    /// <summary>Swap moves resident sponsored pages away behind the pager's back: a fault may then cost two transfers.</summary>
    public static HostProbe Swap(HostFacts host)
    {
        string[] areas = [.. (host.Files.Read("/proc/swaps") ?? "").Split('\n').Skip(1).Where(l => l.Length > 0).Select(l => l.Split(' ', '\t')[0])];
        if (areas.Length == 0)
        {
            return new HostProbe("swap", ProbeStatus.Ok, "no swap", "the kernel leaves resident pages where they are");
        }

        string found = $"swap on {string.Join(", ", areas)}";
        if (CgroupLocator.Find(host.ProcessId, host.Files.ProcRoot) is not { } group)
        {
            return new HostProbe("swap", ProbeStatus.Warn, found, "the kernel may swap out pages that the pager counts as resident", "sudo swapoff -a");
        }

        string file = $"{group.Directory}/{(group.Version == 1 ? "memory.swappiness" : "memory.swap.max")}";
        using KernelFile? setting = KernelFile.TryOpen(file);
        long value = setting?.ReadNumber() ?? -1;
        found = $"{found}; {Path.GetFileName(file)} {(value == long.MaxValue ? "max" : value < 0 ? "unset" : value)}";
        return value == 0
            ? new HostProbe("swap", ProbeStatus.Ok, found, "this group's pages are not swapped")
            : new HostProbe("swap", ProbeStatus.Warn, found, "the kernel may swap out pages that the pager counts as resident",
                value < 0 ? "sudo swapoff -a" : $"echo 0 | sudo tee {file}");
    }

    public static HostProbe HugePages(HostFacts host)
    {
        string text = host.Files.Read("/sys/kernel/mm/transparent_hugepage/enabled") ?? "";
        int open = text.IndexOf('[', StringComparison.Ordinal), close = text.IndexOf(']', StringComparison.Ordinal);
        string setting = open >= 0 && close > open ? text[(open + 1)..close] : "unknown";
        return setting is "always" or "madvise"
            ? new HostProbe("huge_pages", ProbeStatus.Ok, $"transparent huge pages: {setting}", "a sponsor's slabs get huge pages; sponsored memory keeps small ones")
            : new HostProbe("huge_pages", ProbeStatus.Warn, $"transparent huge pages: {setting}", "a sponsor on this host serves from small pages: more TLB misses",
                "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
    }
}
