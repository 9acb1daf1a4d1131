using System.Runtime.InteropServices;
using System.Text;
using Hecatonchire.Interop;

namespace Hecatonchire.Control.ZeroMq;

/// <summary>
/// A ROUTER or DEALER socket with CURVE. Not thread-safe, as no ZeroMQ socket is: one thread makes it (or is handed it once) and
/// uses it. Frames above <see cref="FrameBytesMax"/> end the peer's connection inside libzmq.
/// </summary>
internal sealed unsafe class ZmqSocket : SafeHandle
{
    /// <summary>A control message is at most this long; docs/protocol.md.</summary>
    public const int FrameBytesMax = 64 * 1024;

    /// <summary>Messages queued for one peer. A demander has a few in flight; what floods waits in its own TCP buffers.</summary>
    private const int MessagesQueuedMax = 256;

    /// <summary>A peer that connects and does not finish the CURVE handshake is dropped by then.</summary>
    private const int HandshakeMsMax = 5_000;

    private const int ReconnectMs = 100;
    private const int ReconnectMsMax = 1_000;
    private const int EndpointBytesMax = 256;

    private readonly ZmqContext _context;

    private ZmqSocket(ZmqContext context)
        : base(0, ownsHandle: true)
    {
        bool referenced = false;
        context.DangerousAddRef(ref referenced);
        _context = context;
    }

    public override bool IsInvalid => handle == 0;

    /// <summary>A ROUTER that proves itself with the secret key and encrypts what it says.</summary>
    public static ZmqSocket CreateRouter(ZmqContext context, CurveKeyPair keys)
    {
        ZmqSocket socket = Create(context, LibZmq.ZMQ_ROUTER);
        socket.Set(LibZmq.ZMQ_CURVE_SERVER, 1);
        socket.Set(LibZmq.ZMQ_CURVE_SECRETKEY, keys.SecretZ85);
        return socket;
    }

    /// <summary>
    /// The socket on which libzmq asks whether a CURVE key is let in (ZAP, ZeroMQ's RFC 27); of its context there is one at most, made before a ROUTER
    /// listens. Its messages are answered one by one.
    /// </summary>
    public static ZmqSocket CreateAuthenticator(ZmqContext context)
    {
        ZmqSocket socket = Create(context, LibZmq.ZMQ_REP);
        return LibZmq.Bind(socket.handle, "inproc://zeromq.zap.01") == 0
            ? socket
            : throw new ZmqException("watch over the keys of control connections", Marshal.GetLastPInvokeError());
    }

    /// <summary>A DEALER that talks only to the owner of <paramref name="serverPublicZ85"/>.</summary>
    public static ZmqSocket CreateDealer(ZmqContext context, CurveKeyPair keys, string serverPublicZ85)
    {
        ZmqSocket socket = Create(context, LibZmq.ZMQ_DEALER);
        socket.Set(LibZmq.ZMQ_CURVE_SERVERKEY, serverPublicZ85);
        socket.Set(LibZmq.ZMQ_CURVE_PUBLICKEY, keys.PublicZ85);
        socket.Set(LibZmq.ZMQ_CURVE_SECRETKEY, keys.SecretZ85);
        socket.Set(LibZmq.ZMQ_RECONNECT_IVL, ReconnectMs);
        socket.Set(LibZmq.ZMQ_RECONNECT_IVL_MAX, ReconnectMsMax);
        return socket;
    }

    /// <summary>Listens on an IP address; port 0 takes any. Returns the port. Throws <see cref="ZmqException"/>.</summary>
    public int Bind(string address, int port)
    {
        if (LibZmq.Bind(handle, Endpoint(address, port == 0 ? "*" : $"{port}")) != 0)
        {
            throw new ZmqException($"listen for control connections on {address}:{port}", Marshal.GetLastPInvokeError());
        }

        byte* text = stackalloc byte[EndpointBytesMax];
        nuint length = EndpointBytesMax;
        Check(LibZmq.GetOption(handle, LibZmq.ZMQ_LAST_ENDPOINT, text, &length), "read the endpoint of a socket");
        string endpoint = Encoding.ASCII.GetString(text, (int)length).TrimEnd('\0');
        return int.Parse(endpoint.AsSpan(endpoint.LastIndexOf(':') + 1));
    }

    /// <summary>Starts connecting; the connection is made, and made again, in the background. Throws for an impossible address.</summary>
    public void Connect(string host, int port)
    {
        if (LibZmq.Connect(handle, Endpoint(host, $"{port}")) != 0)
        {
            throw new ZmqException($"connect to {host}:{port}", Marshal.GetLastPInvokeError());
        }
    }

    /// <summary>
    /// Takes the next frame without waiting. False when there is none. Never longer than the buffer if that has
    /// <see cref="FrameBytesMax"/> bytes. <paramref name="more"/>: another frame of the same message follows.
    /// </summary>
    public bool TryReceive(Span<byte> buffer, out int length, out bool more)
    {
        fixed (byte* bytes = buffer)
        {
            int received = LibZmq.Receive(handle, bytes, (nuint)buffer.Length, LibZmq.ZMQ_DONTWAIT);
            if (received < 0)
            {
                length = 0;
                more = false;
                return NothingNow("receive a control message");
            }

            length = Math.Min(received, buffer.Length);
        }

        more = HasMore();
        return true;
    }

    /// <summary>As <see cref="TryReceive(Span{byte}, out int, out bool)"/>; <paramref name="user"/> is who the authenticator said that the connection is: null where nobody was asked.</summary>
    public bool TryReceive(Span<byte> buffer, out int length, out bool more, out string? user)
    {
        (length, more, user) = (0, false, null);
        ZmqMessage message;
        _ = LibZmq.OpenMessage(&message);
        try
        {
            int received = LibZmq.ReceiveMessage(&message, handle, LibZmq.ZMQ_DONTWAIT);
            if (received < 0)
            {
                return NothingNow("receive a control message");
            }

            length = Math.Min(received, buffer.Length);
            new ReadOnlySpan<byte>(LibZmq.MessageData(&message), length).CopyTo(buffer);
            user = Marshal.PtrToStringUTF8((nint)LibZmq.MessageProperty(&message, "User-Id"));
        }
        finally
        {
            _ = LibZmq.CloseMessage(&message);
        }

        more = HasMore();
        return true;
    }

    /// <summary>Queues one frame without waiting. False when the peer is gone or does not take its messages: the frame is lost.</summary>
    public bool TrySend(ReadOnlySpan<byte> frame, bool more = false)
    {
        fixed (byte* bytes = frame)
        {
            int flags = LibZmq.ZMQ_DONTWAIT | (more ? LibZmq.ZMQ_SNDMORE : 0);
            return LibZmq.Send(handle, bytes, (nuint)frame.Length, flags) >= 0 || NothingNow("send a control message");
        }
    }

    /// <summary>Waits until a message, the descriptor or a message of the other socket is there, or the time is over. Interrupted waits return early.</summary>
    public void Wait(int descriptor, int timeoutMs, ZmqSocket? other = null)
    {
        ZmqPollItem* items = stackalloc ZmqPollItem[3];
        items[0] = new ZmqPollItem { Socket = handle, Events = LibZmq.ZMQ_POLLIN };
        items[1] = new ZmqPollItem { Descriptor = descriptor, Events = LibZmq.ZMQ_POLLIN };
        items[2] = new ZmqPollItem { Socket = other?.handle ?? 0, Descriptor = -1, Events = LibZmq.ZMQ_POLLIN };
        if (LibZmq.Poll(items, other is null ? 2 : 3, timeoutMs) < 0)
        {
            NothingNow("wait for control messages");
        }
    }

    /// <summary>How long closing waits for what is queued, in milliseconds. 0 at first: nothing outlives the socket.</summary>
    public void LingerOnClose(int milliseconds) => Set(LibZmq.ZMQ_LINGER, milliseconds);

    protected override bool ReleaseHandle()
    {
        bool closed = LibZmq.CloseSocket(handle) == 0;
        _context.DangerousRelease();
        return closed;
    }

    private static ZmqSocket Create(ZmqContext context, int type)
    {
        ZmqSocket socket = new(context);
        socket.SetHandle(LibZmq.NewSocket(context.DangerousGetHandle(), type));
        if (socket.IsInvalid)
        {
            int errno = Marshal.GetLastPInvokeError();
            context.DangerousRelease();
            throw new ZmqException("make a ZeroMQ socket", errno);
        }

        socket.Set(LibZmq.ZMQ_LINGER, 0);
        socket.Set(LibZmq.ZMQ_SNDHWM, MessagesQueuedMax);
        socket.Set(LibZmq.ZMQ_RCVHWM, MessagesQueuedMax);
        socket.Set(LibZmq.ZMQ_HANDSHAKE_IVL, HandshakeMsMax);
        long frameBytesMax = FrameBytesMax;
        Check(LibZmq.SetOption(socket.handle, LibZmq.ZMQ_MAXMSGSIZE, &frameBytesMax, sizeof(long)), "set a socket option");
        return socket;
    }

    /// <summary>Of the message whose frame was received last.</summary>
    private bool HasMore()
    {
        int following = 0;
        nuint size = sizeof(int);
        Check(LibZmq.GetOption(handle, LibZmq.ZMQ_RCVMORE, &following, &size), "read a control message");
        return following != 0;
    }

    private string Endpoint(string host, string port)
    {
        if (!host.Contains(':'))
        {
            return $"tcp://{host}:{port}";
        }

        Set(LibZmq.ZMQ_IPV6, 1);
        return $"tcp://[{host}]:{port}";
    }

    private void Set(int option, int value) => Check(LibZmq.SetOption(handle, option, &value, sizeof(int)), "set a socket option");

    private void Set(int option, string keyZ85)
    {
        fixed (byte* bytes = Encoding.ASCII.GetBytes(keyZ85))
        {
            Check(LibZmq.SetOption(handle, option, bytes, CurveKeyPair.Z85Length), "set a CURVE key");
        }
    }

    /// <summary>EAGAIN, an interruption and a peer that left are no errors; anything else is a bug or the end of the context.</summary>
    private static bool NothingNow(string operation)
    {
        int errno = Marshal.GetLastPInvokeError();
        return errno is Errno.EAGAIN or Errno.EINTR or Errno.EHOSTUNREACH ? false : throw new ZmqException(operation, errno);
    }

    private static void Check(int result, string operation)
    {
        if (result != 0)
        {
            throw new ZmqException(operation, Marshal.GetLastPInvokeError());
        }
    }
}
