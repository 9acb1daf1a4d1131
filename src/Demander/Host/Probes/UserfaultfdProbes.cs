using Hecatonchire.Interop;

namespace Hecatonchire.Host.Probes;

/// <summary>The kernel's interface that everything rests on.</summary>
internal static class UserfaultfdProbes
{
    private const string Device = "/dev/userfaultfd";
    private const int FeatureWriteProtect = 0, FeaturePoison = 14, FeatureMove = 16;

    private const string GrantDevice = $"sudo chgrp \"$(id -gn)\" {Device} && sudo chmod g+rw {Device}";
    private const string GrantCall = "sudo sysctl -w vm.unprivileged_userfaultfd=1";

    /// <summary>Names of UFFD_FEATURE_* by bit (linux/userfaultfd.h). MISSING has no bit: it is always there.</summary>
    private static readonly string[] FeatureNames =
    [
        "WP", "EVENT_FORK", "EVENT_REMAP", "EVENT_REMOVE", "MISSING_HUGETLBFS", "MISSING_SHMEM", "EVENT_UNMAP", "SIGBUS",
        "THREAD_ID", "MINOR_HUGETLBFS", "MINOR_SHMEM", "EXACT_ADDRESS", "WP_HUGETLBFS_SHMEM", "WP_UNPOPULATED", "POISON",
        "WP_ASYNC", "MOVE",
    ];

    public static HostProbe Open(HostFacts host)
    {
        UserfaultfdOpening opening = host.Userfaultfd;
        if (opening.Opened && opening.ApiErrno == 0)
        {
            return new HostProbe("userfaultfd", ProbeStatus.Ok, opening.DeviceErrno == 0 ? $"opened {Device}" : "opened by the system call",
                "faults of a program can be handed to a pager");
        }

        if (opening.Opened)
        {
            return new HostProbe("userfaultfd", ProbeStatus.Fail, $"opened, but UFFDIO_API: {Errno.Describe(opening.ApiErrno)}",
                "the kernel speaks another version of the interface", "sudo apt-get install linux-image-amd64 && sudo reboot");
        }

        string found = $"{Device}: {Errno.Describe(opening.DeviceErrno)}; system call: {Errno.Describe(opening.CallErrno)}";
        if (opening.CallErrno == Errno.ENOSYS)
        {
            return new HostProbe("userfaultfd", ProbeStatus.Fail, found, "the kernel is built without CONFIG_USERFAULTFD",
                "sudo apt-get install linux-image-amd64 && sudo reboot");
        }

        if (host.EffectiveUser == 0)
        {
            return new HostProbe("userfaultfd", ProbeStatus.Fail, found, "root may not either: a container or seccomp profile forbids it",
                $"docker run --device {Device} --cap-add SYS_PTRACE ...");
        }

        return new HostProbe("userfaultfd", ProbeStatus.Fail, found, "this user may not open one",
            host.Files.Exists(Device) ? GrantDevice : GrantCall);
    }

    public static HostProbe Features(HostFacts host)
    {
        ulong features = host.Userfaultfd.Features;
        if (!host.Userfaultfd.Opened || host.Userfaultfd.ApiErrno != 0)
        {
            return new HostProbe("userfaultfd_features", ProbeStatus.Warn, "unknown", "no userfaultfd could be opened to ask");
        }

        string found = string.Join(' ', FeatureNames.Where((_, bit) => Has(features, bit)).Prepend("MISSING"));
        const string NewKernel = "sudo apt-get install -t bookworm-backports linux-image-amd64 && sudo reboot";
        if (!Has(features, FeatureMove) && !Has(features, FeatureWriteProtect))
        {
            return new HostProbe("userfaultfd_features", ProbeStatus.Fail, found,
                "neither MOVE (6.8) nor WP (5.7): a page cannot be taken out without losing writes", NewKernel);
        }

        if (!Has(features, FeatureMove))
        {
            return new HostProbe("userfaultfd_features", ProbeStatus.Warn, found,
                "no MOVE (6.8): pages are evicted by write-protecting, copying and dropping them, which is slower", NewKernel);
        }

        return Has(features, FeaturePoison)
            ? new HostProbe("userfaultfd_features", ProbeStatus.Ok, found, "pages move out atomically; a lost page raises SIGBUS")
            : new HostProbe("userfaultfd_features", ProbeStatus.Warn, found,
                "no POISON (6.6): a program that loses a page is stopped instead of getting SIGBUS", NewKernel);
    }

    public static HostProbe DevicePermissions(HostFacts host)
    {
        string? mode = host.Files.Mode(Device);
        if (mode is null)
        {
            return new HostProbe("userfaultfd_device", host.Userfaultfd.Opened ? ProbeStatus.Ok : ProbeStatus.Warn, $"no {Device}",
                "a kernel before 6.1, or a container without the device: the system call decides");
        }

        return host.Userfaultfd.DeviceErrno == 0
            ? new HostProbe("userfaultfd_device", ProbeStatus.Ok, $"mode {mode}, this user may open it", "no capability is needed")
            : new HostProbe("userfaultfd_device", ProbeStatus.Warn,
                $"mode {mode}: {Errno.Describe(host.Userfaultfd.DeviceErrno)}", "this user needs a capability or the sysctl instead", GrantDevice);
    }

    public static HostProbe UnprivilegedSysctl(HostFacts host) => host.Files.Read("/proc/sys/vm/unprivileged_userfaultfd") switch
    {
        null => new HostProbe("unprivileged_userfaultfd", ProbeStatus.Ok, "no such sysctl", "a kernel before 5.2, or a hidden /proc/sys"),
        "0" => new HostProbe("unprivileged_userfaultfd", ProbeStatus.Ok, "vm.unprivileged_userfaultfd = 0",
            "only the device or CAP_SYS_PTRACE gives a userfaultfd that sees faults inside system calls"),
        string value => new HostProbe("unprivileged_userfaultfd", ProbeStatus.Ok, $"vm.unprivileged_userfaultfd = {value}",
            "every user may open a userfaultfd"),
    };

    private static bool Has(ulong features, int bit) => (features >> bit & 1) != 0;
}
