using System.Globalization;
using Hecatonchire.Host;
using Hecatonchire.Interop;

namespace Hecatonchire.Bench;

/// <summary>
/// The host of a virtual machine may take memory back as soon as it is free there (free page reporting, a balloon). The first use of
/// such a page then takes the host 20 to 100 us, and no pager and no swap can help it: measured, it doubled the p99 of hard faults
/// and halved a scan, of heca and of the floor, depending on what had run a second before.
/// </summary>
internal static unsafe class FreeMemory
{
    /// <summary>Of what is free, so that nothing is pushed out for it.</summary>
    private const double ShareMax = 0.5;

    /// <summary>Has the host give back memory for this many free bytes. For a second or so: to be called right before measuring.</summary>
    public static void Back(long bytes)
    {
        nuint length = (nuint)Math.Min(bytes, (long)(AvailableBytes() * ShareMax));
        void* memory = Libc.Map(null, length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_POPULATE, -1, 0);
        if ((nint)memory != -1)
        {
            _ = Libc.Unmap(memory, length);
        }
    }

    /// <summary>MemAvailable of /proc/meminfo.</summary>
    public static long AvailableBytes() =>
        1024 * long.Parse((new HostFiles().ReadValue("/proc/meminfo", "MemAvailable:") ?? "0").Split(' ')[0], CultureInfo.InvariantCulture);
}
