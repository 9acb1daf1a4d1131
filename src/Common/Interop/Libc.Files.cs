using System.Runtime.InteropServices;

namespace Hecatonchire.Interop;

/// <summary>Files whose blocks are taken and given back by hand.</summary>
internal static unsafe partial class Libc
{
    [LibraryImport(Library, EntryPoint = "pwrite", SetLastError = true)]
    public static partial nint WriteAt(int descriptor, void* buffer, nuint length, long offset);

    /// <summary>The system call itself: where the file system has none it fails, and writes no zeros instead as posix_fallocate does.</summary>
    [LibraryImport(Library, EntryPoint = "fallocate", SetLastError = true)]
    public static partial int ChangeBlocks(int descriptor, int mode, long offset, long length);

    /// <summary>A second name for a file; fails where there is one of that name already, whoever else makes it at the same time.</summary>
    [LibraryImport(Library, EntryPoint = "link", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int Link(string path, string name);

    [LibraryImport(Library, EntryPoint = "unlink", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int Unlink(string path);

    [LibraryImport(Library, EntryPoint = "mlock", SetLastError = true)]
    public static partial int LockMemory(void* address, nuint length);

    /// <summary>As on x86-64; O_TMPFILE includes O_DIRECTORY.</summary>
    public const int O_CREAT = 0x40, O_EXCL = 0x80, O_DSYNC = 0x1000, O_DIRECT = 0x4000, O_NOFOLLOW = 0x20000, O_TMPFILE = 0x410000;
    public const int FALLOC_FL_KEEP_SIZE = 1, FALLOC_FL_PUNCH_HOLE = 2;
    public const int EFD_SEMAPHORE = 1;
    public const int RLIMIT_FSIZE = 1;
}
