using System.Runtime.InteropServices;

namespace Hecatonchire.Interop;

/// <summary>Process groups and the terminal: who gets the keyboard's signals.</summary>
internal static unsafe partial class Libc
{
    [LibraryImport(Library, EntryPoint = "setpgid", SetLastError = true)]
    public static partial int SetProcessGroup(int process, int group);

    [LibraryImport("libc", EntryPoint = "getpgrp")]
    public static partial int ProcessGroup();

    /// <summary>The foreground process group of the terminal; -1 where the descriptor is none.</summary>
    [LibraryImport("libc", EntryPoint = "tcgetpgrp", SetLastError = true)]
    public static partial int ForegroundGroup(int terminal);

    /// <summary>Sets what a signal does: 0 the default, 1 nothing. Returns what it did before, -1 on error.</summary>
    [LibraryImport("libc", EntryPoint = "signal", SetLastError = true)]
    public static partial nint SetSignalAction(int signal, nint action);

    [LibraryImport("libc", EntryPoint = "access", StringMarshalling = StringMarshalling.Utf8, SetLastError = true)]
    public static partial int Access(string path, int mode);
}
