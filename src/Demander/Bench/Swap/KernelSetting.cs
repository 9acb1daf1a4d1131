using System.Text;
using Hecatonchire.Cli;
using Hecatonchire.Interop;
using Hecatonchire.Pressure;

namespace Hecatonchire.Bench.Swap;

/// <summary>A file of /sys or of a cgroup that takes a value in one write.</summary>
internal static class KernelSetting
{
    /// <summary>Throws <see cref="CommandException"/> with path, value and reason.</summary>
    public static void Write(string path, string value)
    {
        if (TryWrite(path, value) is not 0 and var errno)
        {
            throw new CommandException($"writing {value} to {path}: {Errno.Describe(errno)}", ExitStatus.HostCannot);
        }
    }

    /// <summary>0, or the errno.</summary>
    public static int TryWrite(string path, string value)
    {
        using KernelFile? file = KernelFile.TryOpen(path, Libc.O_WRONLY);
        return file is not null && file.TryWrite(Encoding.ASCII.GetBytes(value)) ? 0 : Libc.Errno;
    }
}
