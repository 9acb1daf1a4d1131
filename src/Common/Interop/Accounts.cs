using System.Runtime.InteropServices;

namespace Hecatonchire.Interop;

/// <summary>Users and groups by name, as the host's name service has them (getpwnam, getgrnam). One thread at a time.</summary>
internal static unsafe partial class Accounts
{
    private static readonly Lock s_gate = new();

    /// <summary>The id of a user; null when there is none of that name.</summary>
    public static uint? FindUser(string name)
    {
        lock (s_gate)
        {
            Entry* entry = FindUserEntry(name);
            return entry == null ? null : entry->Id;
        }
    }

    /// <summary>The id of a group; null when there is none of that name.</summary>
    public static uint? FindGroup(string name)
    {
        lock (s_gate)
        {
            Entry* entry = FindGroupEntry(name);
            return entry == null ? null : entry->Id;
        }
    }

    /// <summary>The name of a user, else its number.</summary>
    public static string NameOf(uint user)
    {
        lock (s_gate)
        {
            Entry* entry = FindUserById(user);
            return entry == null ? $"user {user}" : Marshal.PtrToStringUTF8((nint)entry->Name)!;
        }
    }

    [LibraryImport("libc", EntryPoint = "getpwnam", StringMarshalling = StringMarshalling.Utf8)]
    private static partial Entry* FindUserEntry(string name);

    [LibraryImport("libc", EntryPoint = "getgrnam", StringMarshalling = StringMarshalling.Utf8)]
    private static partial Entry* FindGroupEntry(string name);

    [LibraryImport("libc", EntryPoint = "getpwuid")]
    private static partial Entry* FindUserById(uint user);

    /// <summary>How both struct passwd and struct group begin.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Entry
    {
        public byte* Name;
        public byte* Password;
        public uint Id;
    }
}
