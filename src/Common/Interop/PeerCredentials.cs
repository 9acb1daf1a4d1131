using System.Runtime.InteropServices;

namespace Hecatonchire.Interop;

/// <summary>Who is at the other end of a Unix socket, by the kernel: struct ucred. As they were when it connected.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct PeerCredentials
{
    public int Process;
    public uint User;
    public uint Group;

    /// <summary>Of a socket's peer; process -1 and nobody's ids where the kernel does not say.</summary>
    public static PeerCredentials Of(int socket)
    {
        PeerCredentials credentials = default;
        uint length = (uint)sizeof(PeerCredentials);
        return Libc.GetSocketOption(socket, Libc.SOL_SOCKET, Libc.SO_PEERCRED, &credentials, &length) == 0
            ? credentials
            : new PeerCredentials { Process = -1, User = uint.MaxValue, Group = uint.MaxValue };
    }

    /// <summary>The supplementary groups of a socket's peer.</summary>
    public static uint[] GroupsOf(int socket)
    {
        uint[] groups = new uint[1024];
        uint length = (uint)groups.Length * sizeof(uint);
        fixed (uint* first = groups)
        {
            return Libc.GetSocketOption(socket, Libc.SOL_SOCKET, Libc.SO_PEERGROUPS, first, &length) == 0 ? groups[..(int)(length / sizeof(uint))] : [];
        }
    }
}
