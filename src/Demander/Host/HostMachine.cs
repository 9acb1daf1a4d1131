using System.Globalization;
using System.Runtime.InteropServices;

namespace Hecatonchire.Host;

/// <summary>What a report says about the machine that its figures are from.</summary>
/// <param name="Cpu">The model as the kernel names it, else the architecture.</param>
/// <param name="Cpus">That this process may run on.</param>
/// <param name="Virtualised">Of what make, if known; null on hardware.</param>
internal sealed record HostMachine(string Cpu, int Cpus, long MemoryBytes, string? Virtualised, string Kernel, string Dotnet)
{
    public static HostMachine Read(HostFiles files) => new(
        files.ReadValue("/proc/cpuinfo", "model name") ?? RuntimeInformation.OSArchitecture.ToString(),
        Environment.ProcessorCount,
        MemoryOf(files),
        VirtualisedBy(files),
        files.Read("/proc/sys/kernel/osrelease") ?? "unknown",
        RuntimeInformation.FrameworkDescription);

    private static long MemoryOf(HostFiles files)
    {
        string kib = (files.ReadValue("/proc/meminfo", "MemTotal") ?? "0 kB").Split(' ')[0];
        return long.Parse(kib, NumberStyles.None, CultureInfo.InvariantCulture) << 10;
    }

    /// <summary>x86 says so in a CPU flag; elsewhere only the firmware's names may tell.</summary>
    private static string? VirtualisedBy(HostFiles files)
    {
        string make = $"{files.Read("/sys/class/dmi/id/sys_vendor")} {files.Read("/sys/class/dmi/id/product_name")}".Trim();
        bool guest = (files.ReadValue("/proc/cpuinfo", "flags") ?? "").Split(' ').Contains("hypervisor") || files.Exists("/sys/hypervisor/type");
        return !guest ? null : make.Length > 0 ? make : "hypervisor unknown";
    }
}
