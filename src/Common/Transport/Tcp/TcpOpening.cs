using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Hecatonchire.Interop;

namespace Hecatonchire.Transport.Tcp;

/// <summary>
/// The opening of a data connection, demander side: connect, HELLO, WELCOME. The only part that may throw
/// and wait.
/// </summary>
internal unsafe ref struct TcpOpening
{
    private readonly IPEndPoint _sponsor;
    private readonly TimeSpan _timeout;
    private readonly long _started = Stopwatch.GetTimestamp();

    public TcpOpening(IPEndPoint sponsor, TimeSpan timeout)
    {
        _sponsor = sponsor;
        _timeout = timeout;
    }

    /// <summary>Returns a connected, welcomed, non-blocking socket, which the caller owns.</summary>
    public readonly int Open(Guid demanderId, ReadOnlySpan<byte> token, out Guid sponsorId, out int pagesPerRequestMax)
    {
        if (token.Length != Frames.TokenBytes)
        {
            throw Failed(DataConnectionFailure.Token, $"a token has {Frames.TokenBytes} bytes, this one {token.Length}");
        }

        int descriptor = Libc.NewSocket(
            _sponsor.AddressFamily == AddressFamily.InterNetworkV6 ? Libc.AF_INET6 : Libc.AF_INET,
            Libc.SOCK_STREAM | Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC,
            Libc.IPPROTO_TCP);
        if (descriptor < 0)
        {
            throw Failed(DataConnectionFailure.Unreachable, Errno.Describe(Libc.Errno));
        }

        try
        {
            Connect(descriptor);
            TcpSockets.Configure(descriptor, TcpSockets.DemanderTimeoutMs);
            SayHello(descriptor, demanderId, token);
            ReadWelcome(descriptor, out sponsorId, out pagesPerRequestMax);
            return descriptor;
        }
        catch
        {
            _ = Libc.Close(descriptor);
            throw;
        }
    }

    private readonly void Connect(int descriptor)
    {
        SocketAddress address = _sponsor.Serialize();
        fixed (byte* bytes = address.Buffer.Span)
        {
            if (Libc.Connect(descriptor, bytes, (uint)address.Size) == 0)
            {
                return;
            }
        }

        int errno = Libc.Errno;
        if (errno is Errno.EINPROGRESS or Errno.EINTR)
        {
            Wait(descriptor, Libc.POLLOUT);
            uint length = sizeof(int);
            if (Libc.GetSocketOption(descriptor, Libc.SOL_SOCKET, Libc.SO_ERROR, &errno, &length) != 0)
            {
                errno = Libc.Errno;
            }
        }

        if (errno != 0)
        {
            throw Failed(DataConnectionFailure.Unreachable, Errno.Describe(errno));
        }
    }

    private readonly void SayHello(int descriptor, Guid demanderId, ReadOnlySpan<byte> token)
    {
        OpenFrame hello = new() { Magic = Frames.OpenMagic, Version = Frames.Version, Kind = Frames.KindHello };
        demanderId.TryWriteBytes(new Span<byte>(hello.Id, Frames.IdBytes), bigEndian: true, out _);
        token.CopyTo(new Span<byte>(hello.Token, Frames.TokenBytes));

        // 64 bytes always fit into the empty send buffer of a new socket.
        if (Libc.Send(descriptor, &hello, OpenFrame.Bytes, Libc.MSG_NOSIGNAL) != OpenFrame.Bytes)
        {
            throw Failed(DataConnectionFailure.Unreachable, Errno.Describe(Libc.Errno));
        }
    }

    private readonly void ReadWelcome(int descriptor, out Guid sponsorId, out int pagesPerRequestMax)
    {
        OpenFrame welcome = default;
        int received = 0;
        while (received < OpenFrame.Bytes)
        {
            Wait(descriptor, Libc.POLLIN);
            nint count = Libc.Receive(descriptor, (byte*)&welcome + received, (nuint)(OpenFrame.Bytes - received), 0);
            if (count > 0)
            {
                received += (int)count;
            }
            else if (count == 0)
            {
                throw Failed(DataConnectionFailure.Protocol, "the connection was closed before a WELCOME came");
            }
            else if (Libc.Errno is not (Errno.EAGAIN or Errno.EINTR))
            {
                throw Failed(DataConnectionFailure.Unreachable, Errno.Describe(Libc.Errno));
            }
        }

        if (welcome.Magic != Frames.OpenMagic || welcome.Kind != Frames.KindWelcome)
        {
            throw Failed(DataConnectionFailure.Protocol, "the answer is not a WELCOME; is this the data port of a sponsor?");
        }

        if (welcome.Status != 0)
        {
            throw Refused(welcome.Status);
        }

        if (welcome.Version != Frames.Version)
        {
            throw Failed(
                DataConnectionFailure.Version, $"the sponsor speaks version {welcome.Version}, this program {Frames.Version}");
        }

        if (welcome.PagesMax is 0 or > Frames.PagesPerRequestMax)
        {
            throw Failed(
                DataConnectionFailure.Protocol, $"the sponsor announced {welcome.PagesMax} pages per request");
        }

        sponsorId = new Guid(new ReadOnlySpan<byte>(welcome.Id, Frames.IdBytes), bigEndian: true);
        pagesPerRequestMax = (int)welcome.PagesMax;
    }

    private readonly void Wait(int descriptor, short events)
    {
        while (true)
        {
            double left = (_timeout - Stopwatch.GetElapsedTime(_started)).TotalMilliseconds;
            PollDescriptor wait = new() { Descriptor = descriptor, Events = events };
            int ready = left > 0 ? Libc.Poll(&wait, 1, (int)Math.Min(left + 1, int.MaxValue)) : 0;
            if (ready > 0)
            {
                return;
            }

            if (ready == 0)
            {
                throw Failed(
                    DataConnectionFailure.Unreachable, $"no answer within {_timeout.TotalMilliseconds:0} ms");
            }

            if (Libc.Errno != Errno.EINTR)
            {
                throw Failed(DataConnectionFailure.Unreachable, Errno.Describe(Libc.Errno));
            }
        }
    }

    private readonly DataConnectionException Refused(uint status)
    {
        (DataConnectionFailure failure, string why) = WireStatuses.Explain(status);
        return Failed(failure, why);
    }

    private readonly DataConnectionException Failed(DataConnectionFailure failure, string why) =>
        new(failure, $"no data connection to sponsor {_sponsor}: {why}");
}
