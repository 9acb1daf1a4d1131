using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Hecatonchire.Interop;
using Hecatonchire.Transport.Tcp;

namespace Hecatonchire.Sponsor.Serving;

/// <content>Connections coming, deadlines, and what is said about those that are refused.</content>
internal sealed unsafe partial class DataServer
{
    private static readonly IPEndPoint s_unknownPeer = new(IPAddress.Any, 0);

    /// <summary>Connections taken in one turn, so that a flood of them leaves the others their turn.</summary>
    private const int AcceptsPerTurn = 16;

    private void Accept(long now)
    {
        for (int i = 0; i < AcceptsPerTurn; i++)
        {
            int descriptor = Libc.Accept(_listener, null, null, Libc.SOCK_NONBLOCK | Libc.SOCK_CLOEXEC);
            if (descriptor < 0)
            {
                int errno = Libc.Errno;
                if (errno is Errno.EMFILE or Errno.ENFILE or Errno.ENOMEM or Errno.ENOBUFS)
                {
                    // The connection stays in the queue, and epoll would announce it for ever: look away for a moment.
                    LogAcceptFailed(_logger, Errno.Describe(errno));
                    Change(_listener, ListenerTag, 0);
                    _acceptAgain = now + (AcceptPauseMs * Stopwatch.Frequency / 1000);
                }

                return;
            }

            Counters.ConnectionsAccepted++;
            TcpSockets.Configure(descriptor, TcpSockets.SponsorTimeoutMs);
            int index = FindFree();
            if (index < 0)
            {
                Counters.CountRefusal(RefusalReason.TooManyConnections);
                _refusals.Write(RefusalReason.TooManyConnections, "all connections are in use", PeerOf(descriptor), now);
                ServingConnection.SendRefusal(descriptor, WireStatus.Busy);
                _ = Libc.Close(descriptor);
                continue;
            }

            ServingConnection connection = _connections[index] ??= new ServingConnection(_context, index);
            connection.Open(descriptor);
            connection.RegisteredEvents = Libc.EPOLLIN;
            connection.LastWork = now;
            connection.IsSameHost = CoreSeparation.IsSameHost(descriptor);
            Counters.ConnectionsOpen++;
            SetDeadline(connection, now + (long)(_options.HelloDeadline.TotalSeconds * Stopwatch.Frequency));
            if (!TryRegister(descriptor, (ulong)index + FirstConnectionTag, Libc.EPOLLIN))
            {
                LogAcceptFailed(_logger, Errno.Describe(Libc.Errno));
                Close(connection);
            }
        }
    }

    private int FindFree()
    {
        for (int i = 0; i < _connections.Length; i++)
        {
            if (_connections[i] is null or { Phase: ConnectionPhase.Closed })
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>A connection on its way out has its own, shorter time.</summary>
    private void UpdateDeadline(ServingConnection connection, long now)
    {
        switch (connection.Phase)
        {
            case ConnectionPhase.Ready:
                connection.Deadline = long.MaxValue;
                connection.DeadlinePhase = ConnectionPhase.Ready;
                break;

            case ConnectionPhase.Refusing or ConnectionPhase.Lingering when connection.DeadlinePhase != connection.Phase:
                connection.DeadlinePhase = connection.Phase;
                int milliseconds = connection.Phase == ConnectionPhase.Refusing ? RefusalMs : LingerMs;
                SetDeadline(connection, now + (milliseconds * Stopwatch.Frequency / 1000));
                break;
        }
    }

    private void SetDeadline(ServingConnection connection, long deadline)
    {
        connection.Deadline = deadline;
        _nextDeadline = Math.Min(_nextDeadline, deadline);
    }

    private void CheckDeadlines(long now)
    {
        if (now >= _acceptAgain)
        {
            _acceptAgain = long.MaxValue;
            Change(_listener, ListenerTag, Libc.EPOLLIN);
        }

        if (now < _nextDeadline)
        {
            return;
        }

        _nextDeadline = long.MaxValue;
        foreach (ServingConnection? connection in _connections)
        {
            if (connection is null or { Phase: ConnectionPhase.Closed or ConnectionPhase.Ready })
            {
                continue;
            }

            if (now < connection.Deadline)
            {
                _nextDeadline = Math.Min(_nextDeadline, connection.Deadline);
                continue;
            }

            if (connection.Phase == ConnectionPhase.Hello)
            {
                connection.NoteRefusal(RefusalReason.HelloTimeout, "no HELLO came in time");
                Report(connection, now);
            }
            else if (connection.Phase == ConnectionPhase.Refusing)
            {
                connection.NoteRefusal(RefusalReason.Unresponsive, "it did not read its refusal in time");
                Report(connection, now);
            }

            Close(connection);
        }
    }

    private void Report(ServingConnection connection, long now)
    {
        connection.IsRefusalNew = false;
        Counters.CountRefusal(connection.Refusal);
        _refusals.Write(connection.Refusal, connection.RefusalDetail, PeerOf(connection.Descriptor), now);
    }

    private static string PeerOf(int descriptor)
    {
        SocketAddress address = new(AddressFamily.InterNetworkV6);
        uint length = (uint)address.Size;
        fixed (byte* bytes = address.Buffer.Span)
        {
            if (Libc.GetPeerName(descriptor, bytes, &length) != 0)
            {
                return "a peer that is gone";
            }
        }

        address.Size = (int)length;
        IPEndPoint shape = address.Family == AddressFamily.InterNetwork ? s_unknownPeer : new IPEndPoint(IPAddress.IPv6Any, 0);
        return shape.Create(address).ToString() ?? "";
    }
}
