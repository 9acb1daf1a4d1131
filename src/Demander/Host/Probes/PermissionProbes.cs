using System.Globalization;
using Hecatonchire.Units;

namespace Hecatonchire.Host.Probes;

/// <summary>What the kernel lets this user do beside userfaultfd.</summary>
internal static class PermissionProbes
{
    public const int CapabilityPtrace = 19;

    private const int CapabilityIpcLock = 14;

    /// <summary>The pager reads what leaves the program with process_vm_readv, which obeys the rules of ptrace.</summary>
    public static HostProbe Ptrace(HostFacts host)
    {
        string scope = host.Files.Read("/proc/sys/kernel/yama/ptrace_scope") ?? "none";
        bool capable = host.HasCapability(CapabilityPtrace);
        string found = $"{(capable ? "CAP_SYS_PTRACE" : "no CAP_SYS_PTRACE")}, yama ptrace_scope {scope}";
        const string Relax = "sudo sysctl -w kernel.yama.ptrace_scope=1";
        return (scope, capable) switch
        {
            ("3", _) => new HostProbe("ptrace", ProbeStatus.Fail, found,
                "no process may read another's memory until the next boot", "echo kernel.yama.ptrace_scope=1 | sudo tee /etc/sysctl.d/99-heca.conf && sudo reboot"),
            (_, true) => new HostProbe("ptrace", ProbeStatus.Ok, found, "the pager may read pages of any program"),
            ("2", false) => new HostProbe("ptrace", ProbeStatus.Fail, found, "this user may not read a program's pages", Relax),
            ("1", false) => new HostProbe("ptrace", ProbeStatus.Ok, found,
                "the pager may read programs that it started (heca run), not others (heca pager)"),
            _ => new HostProbe("ptrace", ProbeStatus.Ok, found, "the pager may read this user's own programs"),
        };
    }

    /// <summary>A pager that is itself paged out can deadlock the host it should relieve, so it locks its memory.</summary>
    public static HostProbe LockedMemory(HostFacts host)
    {
        string soft = (host.Files.ReadValue("/proc/self/limits", "Max locked memory") ?? "").Split(' ')[0];
        string limit = long.TryParse(soft, NumberStyles.None, CultureInfo.InvariantCulture, out long bytes)
            ? new ByteSize(bytes).ToString()
            : soft.Length == 0 ? "unknown" : soft;
        if (host.HasCapability(CapabilityIpcLock))
        {
            return new HostProbe("memlock", ProbeStatus.Ok, $"CAP_IPC_LOCK (limit {limit})", "the pager can lock its memory");
        }

        // Not a matter of size: with MCL_FUTURE the limit counts address space, of which .NET reserves hundreds of GiB.
        return soft == "unlimited"
            ? new HostProbe("memlock", ProbeStatus.Ok, "limit unlimited", "the pager can lock its memory")
            : new HostProbe("memlock", ProbeStatus.Warn, $"no CAP_IPC_LOCK, limit {limit}",
                "the pager cannot lock its memory: under memory pressure it may be paged out itself", "sudo prlimit --memlock=unlimited --pid $$");
    }
}
