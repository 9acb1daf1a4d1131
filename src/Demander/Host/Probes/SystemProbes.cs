using System.Globalization;

namespace Hecatonchire.Host.Probes;

/// <summary>Kernel, processors, and what the transports need.</summary>
internal static class SystemProbes
{
    public static HostProbe Kernel(HostFacts host)
    {
        string release = host.Files.Read("/proc/sys/kernel/osrelease") ?? "unknown";
        const string NewKernel = "sudo apt-get install -t bookworm-backports linux-image-amd64 && sudo reboot";
        return ParseRelease(release) switch
        {
            null => new HostProbe("kernel", ProbeStatus.Warn, release, "not a release this program can read"),
            var (major, minor) when (major, minor).CompareTo((5, 10)) < 0 => new HostProbe("kernel", ProbeStatus.Fail, release,
                "write-protection by userfaultfd is sound from 5.10 on", NewKernel),
            var (major, minor) when (major, minor).CompareTo((6, 8)) < 0 => new HostProbe("kernel", ProbeStatus.Warn, release,
                "works; from 6.8 on pages are evicted by moving them, which is faster", NewKernel),
            _ => new HostProbe("kernel", ProbeStatus.Ok, release, "has all that the pager uses"),
        };
    }

    public static HostProbe Processors(HostFacts host) => host.Processors > 1
        ? new HostProbe("processors", ProbeStatus.Ok, $"{host.Processors} CPUs", "the pager can spin while a page is on its way")
        : new HostProbe("processors", ProbeStatus.Warn, "1 CPU", "pager and program take turns on it: a hard fault costs several wake-ups");

    public static HostProbe Rdma(HostFacts host)
    {
        IReadOnlyList<string> devices = host.Files.List("/sys/class/infiniband");
        return devices.Count == 0
            ? new HostProbe("rdma", ProbeStatus.Ok, "no RDMA device", "the data plane runs over TCP")
            : new HostProbe("rdma", ProbeStatus.Ok, string.Join(", ", devices), "RDMA is possible with a sponsor that has a device too");
    }

    public static HostProbe ZeroMq(HostFacts host) => host.ZeroMqLoads
        ? new HostProbe("libzmq", ProbeStatus.Ok, HostFacts.ZeroMqLibrary, "the control channel to sponsors works")
        : new HostProbe("libzmq", ProbeStatus.Fail, $"no {HostFacts.ZeroMqLibrary}", "there is no control channel to sponsors without it",
            "sudo apt-get install libzmq5");

    /// <summary>The first two numbers of <c>6.1.0-18-amd64</c>; null when there are none.</summary>
    internal static (int Major, int Minor)? ParseRelease(string release)
    {
        string[] parts = release.Split('.', '-', '+', '_');
        return parts.Length >= 2
            && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int major)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int minor)
            ? (major, minor)
            : null;
    }
}
