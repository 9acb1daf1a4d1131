using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Hecatonchire.Interop;

namespace Hecatonchire.Tests.Harness;

/// <summary>The pager's ends of the data connections, which are sockets of this process.</summary>
internal static unsafe class DataSockets
{
    private static readonly IPEndPoint s_shape = new(IPAddress.Any, 0);

    /// <summary>
    /// Ends connections of this process to the port, as a network that loses them would: each with the given chance, in both
    /// directions or in one. Returns how many.
    /// </summary>
    public static int Cut(int port, Random random, int percent = 100)
    {
        int cut = 0;
        foreach (string path in Directory.GetFiles("/proc/self/fd"))
        {
            int descriptor = int.Parse(Path.GetFileName(path), CultureInfo.InvariantCulture);
            if (PeerPort(descriptor) == port && random.Next(100) < percent)
            {
                _ = Libc.Shutdown(descriptor, random.Next(3));
                cut++;
            }
        }

        return cut;
    }

    private static int PeerPort(int descriptor)
    {
        SocketAddress address = new(AddressFamily.InterNetwork);
        uint length = (uint)address.Size;
        fixed (byte* bytes = address.Buffer.Span)
        {
            return Libc.GetPeerName(descriptor, bytes, &length) == 0 && address.Family == AddressFamily.InterNetwork
                ? ((IPEndPoint)s_shape.Create(address)).Port
                : 0;
        }
    }
}
