using Hecatonchire.Host.Probes;

namespace Hecatonchire.Host;

/// <summary>All probes of `heca check`, in the order in which a person would mend things.</summary>
internal static class HostInspection
{
    public static IReadOnlyList<Func<HostFacts, HostProbe>> Probes { get; } =
    [
        UserfaultfdProbes.Open, UserfaultfdProbes.Features, UserfaultfdProbes.DevicePermissions, UserfaultfdProbes.UnprivilegedSysctl,
        SystemProbes.Kernel, PermissionProbes.Ptrace, SystemProbes.ZeroMq,
        MemoryProbes.Cgroup, MemoryProbes.PressureStall, MemoryProbes.Swap, PermissionProbes.LockedMemory,
        MemoryProbes.HugePages, SystemProbes.Rdma, SystemProbes.Processors,
    ];

    public static IReadOnlyList<HostProbe> Inspect(HostFacts host) => [.. Probes.Select(probe => probe(host))];
}

/// <summary>What `run` and `bench` ask before they start anything.</summary>
internal static class HostRequirements
{
    /// <summary>Exit status for a host that cannot run a pager.</summary>
    public const int ExitStatus = 3;

    /// <summary>One line with the first thing that keeps a pager from running and its remedy; null when nothing does.</summary>
    public static string? FirstMissing() => FirstMissing(HostFacts.Read());

    /// <summary>As <see cref="FirstMissing()"/>, for a program whose memory is captured.</summary>
    public static string? FirstMissingForCapture() => FirstMissing() ?? MoveMissing() ?? (HostFacts.Read().HasCapability(PermissionProbes.CapabilityPtrace)
        ? null
        : "capturing a program's memory takes CAP_SYS_PTRACE, without which the kernel tells nobody of its forks; to mend it: "
            + "have root's pager serve it (sudo heca pager --allow \"$(id -un)\" ...), or run heca as root");

    /// <summary>What a program needs that the host's pager serves: one line, or null.</summary>
    public static string? FirstMissingForServed(bool captures)
    {
        HostFacts host = HostFacts.Read();
        return FirstMissing(host, [UserfaultfdProbes.Open, UserfaultfdProbes.Features]) ?? (captures ? MoveMissing() : null);
    }

    private static string? MoveMissing() => UserfaultfdOpening.Try().CanMove
        ? null
        : "capturing a program's memory takes UFFDIO_MOVE, which this kernel does not have (Linux 6.8 does); to mend it: "
            + "sudo apt-get install -t bookworm-backports linux-image-amd64 && sudo reboot";

    public static string? FirstMissing(HostFacts host) => FirstMissing(host, HostInspection.Probes);

    private static string? FirstMissing(HostFacts host, IEnumerable<Func<HostFacts, HostProbe>> probes)
    {
        HostProbe? failed = probes.Select(probe => probe(host)).FirstOrDefault(p => p.Status == ProbeStatus.Fail);
        return failed is null
            ? null
            : $"this host cannot run a pager: {failed.Name}: {failed.Found}; {failed.Meaning}"
                + (failed.Remedy is null ? "" : $"; to mend it: {failed.Remedy}");
    }
}
