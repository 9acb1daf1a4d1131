using System.Runtime.InteropServices;

namespace Hecatonchire.Interop;

/// <summary>Swap areas, cgroups, and what is in memory.</summary>
internal static unsafe partial class Libc
{
    /// <summary>Needs CAP_SYS_ADMIN.</summary>
    [LibraryImport(Library, EntryPoint = "swapon", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int SwapOn(string path, int flags);

    /// <summary>Brings back every page that is out before it returns.</summary>
    [LibraryImport(Library, EntryPoint = "swapoff", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int SwapOff(string path);

    /// <summary>Gives the file real blocks. Returns the error's number, not -1, and leaves errno alone.</summary>
    [LibraryImport(Library, EntryPoint = "posix_fallocate")]
    public static partial int Allocate(int descriptor, long offset, long length);

    [LibraryImport(Library, EntryPoint = "rmdir", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int RemoveDirectory(string path);

    /// <summary>
    /// A byte per page whose lowest bit says that the page is in memory, be it that of the swap cache: a touch of it waits for no device.
    /// </summary>
    [LibraryImport(Library, EntryPoint = "mincore", SetLastError = true)]
    public static partial int InCore(void* address, nuint length, byte* pages);

    public const int SWAP_FLAG_PREFER = 0x8000, SWAP_PRIORITY_MAX = 0x7FFF;
}
