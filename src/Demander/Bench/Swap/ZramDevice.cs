using System.Globalization;
using Hecatonchire.Cli;
using Hecatonchire.Host;
using Hecatonchire.Interop;
using Hecatonchire.Pressure;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Swap;

/// <summary>A zram device as a swap area: a new one where the kernel makes them on demand, else zram0 when nobody uses it.</summary>
internal sealed class ZramDevice
{
    public const string Control = "/sys/class/zram-control";

    private ZramDevice(int number) => Number = number;

    public int Number { get; }

    public string Path => $"/dev/zram{Number}";

    private string Settings => SettingsOf(Number);

    /// <summary>
    /// Throws <see cref="CommandException"/> when the host could run out of memory: whatever does not compress is held as it is.
    /// </summary>
    public static void CheckRoom(long bytes)
    {
        long available = FreeMemory.AvailableBytes();
        if (available < bytes + (bytes / 8))
        {
            throw new CommandException(
                $"--size: {new ByteSize(bytes)} compressed in memory may need as much, and this host has {new ByteSize(available)} left", ExitStatus.Failed);
        }
    }

    /// <summary>Configures a device of <paramref name="bytes"/> and writes its header. Throws <see cref="CommandException"/>.</summary>
    public static ZramDevice Create(string compressor, long bytes, SwapJournal journal)
    {
        ZramDevice device = Take(journal);
        string offered = new HostFiles().Read($"{device.Settings}/comp_algorithm") ?? "";
        if (!offered.Split(' ').Any(name => name.Trim('[', ']') == compressor))
        {
            throw new CommandException($"this kernel's zram does not compress with {compressor}; it has: {offered}", ExitStatus.HostCannot);
        }

        KernelSetting.Write($"{device.Settings}/comp_algorithm", compressor);
        KernelSetting.Write($"{device.Settings}/disksize", bytes.ToString(CultureInfo.InvariantCulture));
        using var area = new FileStream(device.Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);
        SwapHeader.Write(area, bytes);
        return device;
    }

    /// <summary>The host's memory that it takes now, its own bookkeeping of compressed pages included.</summary>
    public long UsedBytes()
    {
        // orig_data_size compr_data_size mem_used_total ... (Documentation/admin-guide/blockdev/zram.rst).
        const int memoryUsed = 2;
        string[] fields = (new HostFiles().Read($"{Settings}/mm_stat") ?? "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        return fields.Length > memoryUsed ? long.Parse(fields[memoryUsed], CultureInfo.InvariantCulture) : 0;
    }

    internal static string SettingsOf(int number) => string.Create(CultureInfo.InvariantCulture, $"/sys/block/zram{number}");

    private static ZramDevice Take(SwapJournal journal)
    {
        // Reading makes the device and tells its number: one read, no more.
        using KernelFile? add = KernelFile.TryOpen($"{Control}/hot_add");
        if (add?.ReadNumber() is { } number and >= 0)
        {
            journal.Add(new ZramReset((int)number, Remove: true));
            return new ZramDevice((int)number);
        }

        string? size = new HostFiles().Read($"{SettingsOf(0)}/disksize");
        if (size is null)
        {
            throw new CommandException("this kernel has no zram: try `modprobe zram`", ExitStatus.HostCannot);
        }

        if (size != "0")
        {
            throw new CommandException($"zram0 is in use ({new ByteSize(long.Parse(size, CultureInfo.InvariantCulture))})", ExitStatus.HostCannot);
        }

        journal.Add(new ZramReset(0, Remove: false));
        return new ZramDevice(0);
    }
}
