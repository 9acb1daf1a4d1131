using Hecatonchire.Host;
using Hecatonchire.Interop;

namespace Hecatonchire.Bench.Swap;

/// <summary>
/// Whether a folder is on a disk that the kernel may swap to. A swap area that itself lies in memory hangs the host: to write a
/// page out, the kernel needs the very memory that it is out of.
/// </summary>
internal static class DiskFolder
{
    private static readonly string[] s_memoryFileSystems = ["tmpfs", "ramfs", "devtmpfs", "hugetlbfs"];
    private static readonly string[] s_memoryDevices = ["loop", "ram", "zram"];

    /// <summary>The folder without symbolic links, or null when there is none.</summary>
    public static string? Resolve(string directory)
    {
        int descriptor = Libc.Open(directory, Libc.O_RDONLY | Libc.O_CLOEXEC, 0);
        if (descriptor < 0)
        {
            return null;
        }

        string? path = File.ResolveLinkTarget($"/proc/self/fd/{descriptor}", returnFinalTarget: false)?.FullName;
        _ = Libc.Close(descriptor);
        return Directory.Exists(path) ? path : null;
    }

    /// <summary>What speaks against a folder that <see cref="Resolve"/> gave, as the end of a sentence about it; null when nothing does.</summary>
    public static string? WhyNot(string directory) => WhyNot(directory, new HostFiles());

    internal static string? WhyNot(string directory, HostFiles files)
    {
        (string mountPoint, string device, string fileSystem) = ("", "", "");
        foreach (string line in (files.Read("/proc/self/mountinfo") ?? "").Split('\n'))
        {
            // 36 35 98:0 ROOT MOUNTPOINT OPTIONS [...] - FSTYPE SOURCE SUPER; of several mounts on a point the last is seen.
            string[] fields = line.Split(' ');
            int dash = Array.IndexOf(fields, "-");
            if (dash > 0 && dash + 1 < fields.Length && IsBelow(directory, fields[4]) && fields[4].Length >= mountPoint.Length)
            {
                (mountPoint, device, fileSystem) = (fields[4], fields[2], fields[dash + 1]);
            }
        }

        return s_memoryFileSystems.Contains(fileSystem) ? $"is in memory ({fileSystem}); name a folder on a disk"
            : MemoryDevice(files, $"/sys/dev/block/{device}") is { } name ? $"is on {name}, which is no disk: swap there can hang the host"
            : null;
    }

    private static bool IsBelow(string directory, string mountPoint) =>
        mountPoint == "/" || directory == mountPoint || directory.StartsWith(mountPoint + "/", StringComparison.Ordinal);

    /// <summary>The name of the device, or of one below it (device mapper, RAID), that is none of hardware.</summary>
    private static string? MemoryDevice(HostFiles files, string path)
    {
        string? uevent = files.ReadValue($"{path}/uevent", "DEVNAME=");
        if (uevent is null)
        {
            return null;
        }

        return s_memoryDevices.Any(kind => uevent.StartsWith(kind, StringComparison.Ordinal) && char.IsAsciiDigit(uevent[kind.Length]))
            ? uevent
            : files.List($"{path}/slaves").Select(slave => MemoryDevice(files, $"{path}/slaves/{slave}")).FirstOrDefault(name => name is not null);
    }
}
