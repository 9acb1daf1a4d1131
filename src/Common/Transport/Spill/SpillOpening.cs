using Hecatonchire.Interop;
using Hecatonchire.Units;
using Microsoft.Win32.SafeHandles;

namespace Hecatonchire.Transport.Spill;

/// <summary>
/// Makes the file of a <see cref="SpillFile"/>. It has no name from the first moment (O_TMPFILE), so nobody else opens it, nothing is left of it after a kill, and no file that is there is ever
/// touched. Where the file system cannot do that, it has a name nobody else has, for as long as it takes to remove it.
/// </summary>
internal static unsafe class SpillOpening
{
    private const int ProbeBytes = 64 << 10;

    /// <param name="path">A directory, or a file that is not there in one.</param>
    /// <param name="isDirect">False where the file system cannot do without the page cache.</param>
    public static SafeFileHandle Open(string path, out bool isDirect)
    {
        string directory = DirectoryOf(path);
        int errno = Errno.EINVAL;
        foreach (bool direct in (ReadOnlySpan<bool>)[true, false])
        {
            SafeFileHandle? file = OpenUnnamed(directory, direct, out errno);
            if (errno is Errno.EOPNOTSUPP or Errno.EISDIR)
            {
                file = OpenNamed(directory, direct, out errno);
            }

            if (file is not null)
            {
                errno = Probe((int)file.DangerousGetHandle(), out string failed);
                if (errno == 0)
                {
                    isDirect = direct;
                    return file;
                }

                file.Dispose();
                if (errno != Errno.EINVAL)
                {
                    throw new SpillException($"cannot spill to {path}: {failed}: {Errno.Describe(errno)}");
                }
            }

            if (errno != Errno.EINVAL)
            {
                break;
            }
        }

        throw new SpillException($"cannot spill to {path}: no file can be made in {directory}: {Errno.Describe(errno)}");
    }

    /// <summary>A file that never has a name; null and the errno.</summary>
    internal static SafeFileHandle? OpenUnnamed(string directory, bool direct, out int errno) =>
        Open(directory, Libc.O_TMPFILE | Libc.O_EXCL, direct, out errno);

    /// <summary>A file whose name is gone when this returns; null and the errno.</summary>
    internal static SafeFileHandle? OpenNamed(string directory, bool direct, out int errno)
    {
        string name = Path.Combine(directory, $".heca-spill-{Guid.NewGuid():N}");
        SafeFileHandle? file = Open(name, Libc.O_CREAT | Libc.O_EXCL | Libc.O_NOFOLLOW, direct, out errno);

        // Where O_DIRECT is refused the file was made all the same.
        if ((file is not null || errno == Errno.EINVAL) && Libc.Unlink(name) != 0 && file is not null)
        {
            errno = Libc.Errno;
            file.Dispose();
            return null;
        }

        return file;
    }

    private static SafeFileHandle? Open(string path, int flags, bool direct, out int errno)
    {
        // With the page cache in between, a write must at least have reached the device before it is told to be done: an error that comes later has nobody to go to.
        int descriptor = Libc.Open(path, flags | Libc.O_RDWR | Libc.O_CLOEXEC | (direct ? Libc.O_DIRECT : Libc.O_DSYNC), 0x180);
        errno = descriptor < 0 ? Libc.Errno : 0;
        return descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
    }

    private static string DirectoryOf(string path)
    {
        if (Directory.Exists(path))
        {
            return path;
        }

        if (Path.Exists(path))
        {
            throw new SpillException($"cannot spill to {path}: it is there already, and may be somebody's; name a directory, or a file that is not there");
        }

        string directory = Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/";
        return Directory.Exists(directory) ? directory : throw new SpillException($"cannot spill to {path}: there is no directory {directory}");
    }

    /// <summary>Tries all that is asked of the file later. EINVAL: perhaps without O_DIRECT.</summary>
    private static int Probe(int descriptor, out string failed)
    {
        byte* page = NativeMemoryMap.Populate(PageSize.Bytes);
        try
        {
            failed = "the file system cannot reserve blocks (fallocate)";
            if (Libc.ChangeBlocks(descriptor, 0, 0, ProbeBytes) != 0)
            {
                return Libc.Errno;
            }

            failed = "writing";
            nint count = Libc.WriteAt(descriptor, page, PageSize.Bytes, PageSize.Bytes);
            if (count != PageSize.Bytes)
            {
                return count < 0 ? Libc.Errno : Errno.EIO;
            }

            failed = "reading";
            count = Libc.ReadAt(descriptor, page, PageSize.Bytes, PageSize.Bytes);
            if (count != PageSize.Bytes)
            {
                return count < 0 ? Libc.Errno : Errno.EIO;
            }

            failed = "the file system cannot give blocks back (FALLOC_FL_PUNCH_HOLE)";
            return Libc.ChangeBlocks(descriptor, Libc.FALLOC_FL_PUNCH_HOLE | Libc.FALLOC_FL_KEEP_SIZE, 0, ProbeBytes) != 0 ? Libc.Errno : 0;
        }
        finally
        {
            _ = Libc.Unmap(page, PageSize.Bytes);
        }
    }
}
