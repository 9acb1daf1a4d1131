using System.Globalization;

namespace Hecatonchire.Host;

/// <summary>What all CPUs of this host have worked, whoever for: also the kernel's own threads, which no process accounts for.</summary>
internal static class HostCpu
{
    /// <summary>The unit of /proc/stat, whatever the kernel's own tick is.</summary>
    private const double TicksPerSecond = 100;

    /// <summary>Since boot, seconds: user, nice, system, irq and softirq of /proc/stat (proc(5)); not what a hypervisor took away. 0 when unreadable.</summary>
    public static double BusySeconds(HostFiles files)
    {
        string[] ticks = (files.ReadValue("/proc/stat", "cpu ") ?? "").Split(' ', StringSplitOptions.RemoveEmptyEntries);
        int[] busy = [0, 1, 2, 5, 6];
        return busy.Where(i => i < ticks.Length).Sum(i => double.Parse(ticks[i], CultureInfo.InvariantCulture)) / TicksPerSecond;
    }
}
