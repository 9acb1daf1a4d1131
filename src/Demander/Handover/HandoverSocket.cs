using System.Net.Sockets;
using Hecatonchire.Interop;

namespace Hecatonchire.Handover;

/// <summary>One packet with its descriptors, over a SOCK_SEQPACKET Unix socket.</summary>
internal static unsafe class HandoverSocket
{
    /// <summary>A HELLO brings up to five; more than these in one packet are closed by the kernel (MSG_CTRUNC).</summary>
    public const int DescriptorsMax = 5;

    private const int ControlHeaderBytes = 16;

    /// <summary>
    /// Receives one message. False at the end of the connection or for a packet that is no whole message; descriptors that
    /// came are in <paramref name="descriptors"/> (<paramref name="count"/> of them) and belong to the caller either way.
    /// </summary>
    public static bool Receive(Socket socket, out HandoverMessage message, Span<int> descriptors, out int count)
    {
        count = 0;
        byte* control = stackalloc byte[128];
        HandoverMessage received = default;
        var vector = new IoVector(&received, (nuint)sizeof(HandoverMessage));
        nint bytes;
        var header = new MessageHeader { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = 128 };
        do
        {
            bytes = Libc.ReceiveMessage((int)socket.Handle, &header, Libc.MSG_CMSG_CLOEXEC);
        }
        while (bytes < 0 && Libc.Errno == Errno.EINTR);

        if (bytes > 0 && header.ControlLength >= ControlHeaderBytes)
        {
            nuint length = *(nuint*)control;
            int level = *(int*)(control + 8), type = *(int*)(control + 12);
            if (level == Libc.SOL_SOCKET && type == Libc.SCM_RIGHTS && length <= header.ControlLength)
            {
                int found = (int)(length - ControlHeaderBytes) / sizeof(int);
                for (int i = 0; i < found; i++)
                {
                    int descriptor = ((int*)(control + ControlHeaderBytes))[i];
                    if (count < descriptors.Length)
                    {
                        descriptors[count++] = descriptor;
                    }
                    else
                    {
                        _ = Libc.Close(descriptor);
                    }
                }
            }
        }

        message = received;
        return bytes == sizeof(HandoverMessage);
    }

    /// <summary>Sends one message, with up to <see cref="DescriptorsMax"/> descriptors. False when the peer is gone.</summary>
    public static bool Send(Socket socket, in HandoverMessage message, params ReadOnlySpan<int> descriptors)
    {
        byte* control = stackalloc byte[40];
        HandoverMessage copy = message;
        var vector = new IoVector(&copy, (nuint)sizeof(HandoverMessage));
        var header = new MessageHeader { Vectors = &vector, VectorCount = 1 };
        if (descriptors.Length > 0)
        {
            nuint length = ControlHeaderBytes + (nuint)(descriptors.Length * sizeof(int));
            *(nuint*)control = length;
            *(int*)(control + 8) = Libc.SOL_SOCKET;
            *(int*)(control + 12) = Libc.SCM_RIGHTS;
            descriptors.CopyTo(new Span<int>(control + ControlHeaderBytes, DescriptorsMax));
            header.Control = control;
            header.ControlLength = (length + 7) & ~(nuint)7;
        }

        nint sent;
        do
        {
            sent = Libc.SendMessage((int)socket.Handle, &header, Libc.MSG_NOSIGNAL);
        }
        while (sent < 0 && Libc.Errno == Errno.EINTR);

        return sent == sizeof(HandoverMessage);
    }

    /// <summary>Ends a connection or a listener, which wakes who waits there: closing the descriptor does not.</summary>
    public static void Shutdown(Socket? socket)
    {
        try
        {
            socket?.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It had ended already.
        }
    }
}
