using System.Runtime.InteropServices;

namespace Hecatonchire.Interop;

/// <summary>zmq_pollitem_t.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct ZmqPollItem
{
    public nint Socket;
    public int Descriptor;
    public short Events;
    public short Returned;
}

/// <summary>zmq_msg_t: opaque, 64 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Size = 64)]
internal struct ZmqMessage
{
    private readonly nint _alignment;
}

/// <summary>
/// What the control plane uses of libzmq 4 (zmq.h), one to one. A failed call returns -1 or null with errno, which libzmq
/// shares with libc. A first call throws <see cref="DllNotFoundException"/> where the library is not installed;
/// <see cref="Control.ZeroMq.ZmqContext"/> turns that into advice.
/// </summary>
internal static unsafe partial class LibZmq
{
    private const string Library = "libzmq.so.5";

    [LibraryImport(Library, EntryPoint = "zmq_has", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Has(string capability);

    [LibraryImport(Library, EntryPoint = "zmq_strerror")]
    public static partial nint ErrorText(int errno);

    [LibraryImport(Library, EntryPoint = "zmq_ctx_new", SetLastError = true)]
    public static partial nint NewContext();

    [LibraryImport(Library, EntryPoint = "zmq_ctx_set", SetLastError = true)]
    public static partial int SetContext(nint context, int option, int value);

    [LibraryImport(Library, EntryPoint = "zmq_ctx_term", SetLastError = true)]
    public static partial int TerminateContext(nint context);

    [LibraryImport(Library, EntryPoint = "zmq_socket", SetLastError = true)]
    public static partial nint NewSocket(nint context, int type);

    [LibraryImport(Library, EntryPoint = "zmq_close", SetLastError = true)]
    public static partial int CloseSocket(nint socket);

    [LibraryImport(Library, EntryPoint = "zmq_setsockopt", SetLastError = true)]
    public static partial int SetOption(nint socket, int option, void* value, nuint length);

    [LibraryImport(Library, EntryPoint = "zmq_getsockopt", SetLastError = true)]
    public static partial int GetOption(nint socket, int option, void* value, nuint* length);

    [LibraryImport(Library, EntryPoint = "zmq_bind", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Bind(nint socket, string endpoint);

    [LibraryImport(Library, EntryPoint = "zmq_connect", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Connect(nint socket, string endpoint);

    [LibraryImport(Library, EntryPoint = "zmq_send", SetLastError = true)]
    public static partial int Send(nint socket, void* buffer, nuint length, int flags);

    [LibraryImport(Library, EntryPoint = "zmq_recv", SetLastError = true)]
    public static partial int Receive(nint socket, void* buffer, nuint length, int flags);

    [LibraryImport(Library, EntryPoint = "zmq_poll", SetLastError = true)]
    public static partial int Poll(ZmqPollItem* items, int count, long timeoutMs);

    [LibraryImport(Library, EntryPoint = "zmq_curve_keypair", SetLastError = true)]
    public static partial int MakeKeyPair(byte* publicZ85, byte* secretZ85);

    [LibraryImport(Library, EntryPoint = "zmq_curve_public", SetLastError = true)]
    public static partial int DerivePublicKey(byte* publicZ85, byte* secretZ85);

    [LibraryImport(Library, EntryPoint = "zmq_z85_encode")]
    public static partial byte* EncodeZ85(byte* text, byte* bytes, nuint length);

    [LibraryImport(Library, EntryPoint = "zmq_msg_init")]
    public static partial int OpenMessage(ZmqMessage* message);

    [LibraryImport(Library, EntryPoint = "zmq_msg_recv", SetLastError = true)]
    public static partial int ReceiveMessage(ZmqMessage* message, nint socket, int flags);

    [LibraryImport(Library, EntryPoint = "zmq_msg_data")]
    public static partial void* MessageData(ZmqMessage* message);

    /// <summary>Null where the message has no such property. Valid as long as the message.</summary>
    [LibraryImport(Library, EntryPoint = "zmq_msg_gets", StringMarshalling = StringMarshalling.Utf8)]
    public static partial byte* MessageProperty(ZmqMessage* message, string property);

    [LibraryImport(Library, EntryPoint = "zmq_msg_close")]
    public static partial int CloseMessage(ZmqMessage* message);

    public const int ZMQ_REP = 4;
    public const int ZMQ_DEALER = 5, ZMQ_ROUTER = 6;
    public const int ZMQ_RCVMORE = 13, ZMQ_LINGER = 17, ZMQ_RECONNECT_IVL = 18, ZMQ_RECONNECT_IVL_MAX = 21, ZMQ_MAXMSGSIZE = 22,
        ZMQ_SNDHWM = 23, ZMQ_RCVHWM = 24, ZMQ_LAST_ENDPOINT = 32, ZMQ_IPV6 = 42, ZMQ_CURVE_SERVER = 47,
        ZMQ_CURVE_PUBLICKEY = 48, ZMQ_CURVE_SECRETKEY = 49, ZMQ_CURVE_SERVERKEY = 50, ZMQ_HANDSHAKE_IVL = 66, ZMQ_BLOCKY = 70;
    public const int ZMQ_DONTWAIT = 1, ZMQ_SNDMORE = 2;
    public const short ZMQ_POLLIN = 1;
}
