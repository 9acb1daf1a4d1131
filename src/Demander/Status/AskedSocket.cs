using System.Net.Sockets;

namespace Hecatonchire.Status;

/// <summary>A Unix socket at a path, and a thread that answers who connects, one at a time.</summary>
internal sealed class AskedSocket : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string _path;
    private readonly Action<Socket> _answer;
    private readonly Thread _thread;

    private AskedSocket(string path, string name, Action<Socket> answer)
    {
        (_path, _answer) = (path, answer);

        // Left by a process of this number that was killed.
        File.Delete(path);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen(16);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>Null, with the reason, where this user has no place for the socket: a program need not fail for it.</summary>
    /// <param name="path">Finds the place, and may make the folder.</param>
    /// <param name="name">The thread's.</param>
    /// <param name="answer">Answers one who has connected; may throw <see cref="SocketException"/>, when that one has gone.</param>
    /// <param name="problem">The reason.</param>
    public static AskedSocket? TryOpen(Func<string> path, string name, Action<Socket> answer, out string problem)
    {
        problem = "";
        try
        {
            return new AskedSocket(path(), name, answer);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException or ArgumentException)
        {
            problem = e.Message;
            return null;
        }
    }

    public void Dispose()
    {
        // Closing the descriptor does not wake a thread in accept.
        try
        {
            _listener.Shutdown(SocketShutdown.Both);
        }
        catch (SocketException)
        {
            // Nobody was there.
        }

        _listener.Dispose();
        _thread.Join();
        File.Delete(_path);
    }

    private void Run()
    {
        while (true)
        {
            Socket asking;
            try
            {
                asking = _listener.Accept();
            }
            catch (Exception e) when (e is ObjectDisposedException or SocketException { SocketErrorCode: not (SocketError.ConnectionAborted or SocketError.ConnectionReset) })
            {
                return;
            }
            catch (SocketException)
            {
                // Who asked has gone.
                continue;
            }

            using (asking)
            {
                try
                {
                    _answer(asking);
                }
                catch (SocketException)
                {
                    // The same.
                }
            }
        }
    }
}
