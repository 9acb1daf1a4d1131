using Hecatonchire.Cli;
using Hecatonchire.Interop;
using Hecatonchire.Units;

namespace Hecatonchire.Bench.Swap;

/// <summary>A swap file of our own on a real disk.</summary>
internal static class SwapFile
{
    /// <summary>Its folder unless one is given: unlike /tmp it is on disk (Filesystem Hierarchy Standard).</summary>
    public const string DefaultDirectory = "/var/tmp";

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Makes the file, with blocks for all its bytes, and its header; returns its path. Throws <see cref="CommandException"/>.</summary>
    public static string Create(string directory, long bytes, SwapJournal journal)
    {
        directory = DiskFolder.Resolve(directory) ?? throw new CommandException($"--swap-dir: {directory} is no folder", ExitStatus.Usage);
        if (DiskFolder.WhyNot(directory) is { } reason)
        {
            throw new CommandException($"--swap-dir: {directory} {reason}", ExitStatus.Failed);
        }

        long free = new DriveInfo(directory).AvailableFreeSpace;
        if (free < bytes)
        {
            throw new CommandException(
                $"--swap-dir: {directory} has {new ByteSize(free)} free and {new ByteSize(bytes)} are needed; name a folder on another disk",
                ExitStatus.Failed);
        }

        string path = Path.Combine(directory, $"heca-bench-{Environment.ProcessId}.swap");
        journal.Add(new FileRemoval(path));
        using var file = new FileStream(
            path, new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.ReadWrite, UnixCreateMode = OwnerOnly, BufferSize = 0 });
        int error = Libc.Allocate((int)file.SafeFileHandle.DangerousGetHandle(), 0, bytes);
        if (error != 0)
        {
            throw new CommandException($"--swap-dir: {new ByteSize(bytes)} in {path}: {Errno.Describe(error)}", ExitStatus.Failed);
        }

        SwapHeader.Write(file, bytes);
        return path;
    }
}
