using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Xunit;

namespace Hecatonchire.Tests.Deploy;

/// <summary>A service manager as far as a daemon sees it: the datagram socket of NOTIFY_SOCKET.</summary>
internal sealed class NotifySocket : IDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    /// <summary>Between two looks at whether the daemon is there.</summary>
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(100);

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);

    public NotifySocket(string path)
    {
        Path = path;
        _socket.Bind(new UnixDomainSocketEndPoint(path));
    }

    public string Path { get; }

    public void Dispose() => _socket.Dispose();

    /// <summary>The next message; fails where none comes.</summary>
    public string Next() => TryNext(s_deadline) ?? throw new TimeoutException("the daemon tells its manager nothing");

    /// <summary>Passes messages over until one comes that begins so.</summary>
    public string NextThatBegins(string start)
    {
        for (int i = 0; i < 1000; i++)
        {
            if (Next() is { } message && message.StartsWith(start, StringComparison.Ordinal))
            {
                return message;
            }
        }

        throw new TimeoutException($"the daemon does not say {start}");
    }

    /// <summary>As <see cref="NextThatBegins"/>; false where the daemon ends instead, or none comes.</summary>
    public bool AwaitThatBegins(string start, Process daemon)
    {
        for (long end = Environment.TickCount64 + (long)s_deadline.TotalMilliseconds; !daemon.HasExited && Environment.TickCount64 < end;)
        {
            if (TryNext(s_look)?.StartsWith(start, StringComparison.Ordinal) == true)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>How many signs of life come before none has for so long; as many as <paramref name="most"/> at most.</summary>
    public int CountSigns(TimeSpan silence, int most)
    {
        for (int signs = 0; ; signs++)
        {
            string? message = signs < most ? TryNext(silence) : null;
            if (message is null)
            {
                return signs;
            }

            Assert.Equal("WATCHDOG=1", message);
        }
    }

    /// <summary>Passes over what has come and was not read: a daemon waits where it is too much.</summary>
    public void Drain()
    {
        while (TryNext(TimeSpan.Zero) is not null)
        {
        }
    }

    private string? TryNext(TimeSpan time)
    {
        byte[] message = new byte[4096];
        return _socket.Poll(time, SelectMode.SelectRead) ? Encoding.UTF8.GetString(message, 0, _socket.Receive(message)) : null;
    }
}
