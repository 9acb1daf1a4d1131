using Hecatonchire.Cli;
using Hecatonchire.Host;
using Hecatonchire.Interop;

namespace Hecatonchire.Bench.Swap;

/// <summary>Turns swap areas on and off: a file or a block device with a <see cref="SwapHeader"/>.</summary>
internal static class SwapArea
{
    /// <summary>At the highest priority, so that nothing goes to what other swap the host has.</summary>
    public static void TurnOn(string path, SwapJournal journal)
    {
        journal.Add(new SwapOff(path));
        if (Libc.SwapOn(path, Libc.SWAP_FLAG_PREFER | Libc.SWAP_PRIORITY_MAX) < 0)
        {
            int errno = Libc.Errno;
            string hint = errno == Errno.EINVAL ? ": its file system cannot hold a swap file" : "";
            throw new CommandException($"swapon {path}: {Errno.Describe(errno)}{hint}", ExitStatus.HostCannot);
        }
    }

    /// <summary>Bytes of it that are in use; null when it is not on.</summary>
    public static long? UsedBytes(string path)
    {
        // As the kernel writes paths there.
        string shown = path.Replace("\\", "\\134", StringComparison.Ordinal).Replace(" ", "\\040", StringComparison.Ordinal);

        // Filename, type, size, used and priority; sizes in KiB.
        const int used = 3;
        foreach (string line in (new HostFiles().Read("/proc/swaps") ?? "").Split('\n'))
        {
            string[] fields = line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
            if (fields.Length > used && fields[0] == shown && long.TryParse(fields[used], out long kibibytes))
            {
                return kibibytes * 1024;
            }
        }

        return null;
    }
}
