using Hecatonchire.Host.Probes;

namespace Hecatonchire.Host;

/// <summary>All probes of `heca check`, in the order in which a person would mend things.</summary>
internal static class HostInspection
{
    private static readonly Func<HostFacts, HostProbe>[] Probes =
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
    public static string? FirstMissingForCapture() => FirstMissing() ?? (UserfaultfdOpening.Try().CanMove
        ? null
        : "capturing a program's memory takes UFFDIO_MOVE, which this kernel does not have (Linux 6.8 does); to mend it: "
            + "sudo apt-get install -t bookworm-backports linux-image-amd64 && sudo reboot");

    public static string? FirstMissing(HostFacts host)
    {
        HostProbe? failed = HostInspection.Inspect(host).FirstOrDefault(p => p.Status == ProbeStatus.Fail);
        return failed is null
            ? null
            : $"this host cannot run a pager: {failed.Name}: {failed.Found}; {failed.Meaning}"
                + (failed.Remedy is null ? "" : $"; to mend it: {failed.Remedy}");
    }
}
