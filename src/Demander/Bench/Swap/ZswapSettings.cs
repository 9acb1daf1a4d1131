using System.Globalization;
using Hecatonchire.Cli;
using Hecatonchire.Host;

namespace Hecatonchire.Bench.Swap;

/// <summary>zswap, the compressed cache before swap, set to the kernel's own defaults whatever this host has configured.</summary>
internal static class ZswapSettings
{
    private const string Directory = "/sys/module/zswap/parameters";

    /// <summary>In this order; lzo-rle is what zram compresses with by default. The pool is bounded by this many percent of all memory.</summary>
    private static readonly (string Name, string Value)[] s_values = [("compressor", "lzo-rle"), ("max_pool_percent", "20"), ("enabled", "Y")];

    public static void Apply(SwapJournal journal)
    {
        var files = new HostFiles();
        foreach ((string name, string value) in s_values)
        {
            string path = $"{Directory}/{name}";
            string before = files.Read(path) ?? throw new CommandException("this kernel has no zswap", ExitStatus.HostCannot);
            if (before != value)
            {
                journal.Add(new SettingRestore(path, before));
                KernelSetting.Write(path, value);
            }
        }
    }

    /// <summary>Memory of the host that its compressed pages take now, as /proc/meminfo has it (5.19 and later); 0 elsewhere.</summary>
    public static long UsedBytes() =>
        new HostFiles().ReadValue("/proc/meminfo", "Zswap:") is { } text
            && long.TryParse(text.Split(' ')[0], NumberStyles.None, CultureInfo.InvariantCulture, out long kibibytes)
            ? kibibytes * 1024
            : 0;
}
