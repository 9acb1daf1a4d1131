using System.Runtime.InteropServices;

namespace Hecatonchire.Interop;

/// <summary>Process groups and the terminal: who gets the keyboard's signals.</summary>
internal static unsafe partial class Libc
{
    [LibraryImport("libc", EntryPoint = "getpgrp")]
    public static partial int ProcessGroup();

    /// <summary>The foreground process group of the terminal; -1 where the descriptor is none.</summary>
    [LibraryImport("libc", EntryPoint = "tcgetpgrp", SetLastError = true)]
    public static partial int ForegroundGroup(int terminal);

    [LibraryImport("libc", EntryPoint = "access", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int Access(string path, int mode);
}
