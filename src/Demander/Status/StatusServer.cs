using System.Net.Sockets;
using Hecatonchire.Pager;

namespace Hecatonchire.Status;

/// <summary>Answers everybody who connects to a pager's status socket with its report. One at a time: an answer is one write.</summary>
internal sealed class StatusServer : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly IPagerHost _pager;
    private readonly StatusSubject _subject;
    private readonly string _path;
    private readonly Thread _thread;

    private StatusServer(IPagerHost pager, StatusSubject subject, string path)
    {
        (_pager, _subject, _path) = (pager, subject, path);

        // Left by a process of this number that was killed.
        File.Delete(path);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen(16);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { Name = "heca-status", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Null, with the reason, where this user has no place for the socket: a program need not fail for it.</summary>
    public static StatusServer? TryStart(IPagerHost pager, StatusSubject subject, out string problem)
    {
        problem = "";
        try
        {
            return new StatusServer(pager, subject, StatusDirectory.PathFor(Environment.ProcessId));
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
            try
            {
                using Socket asking = _listener.Accept();
                asking.SendTimeout = 1000;
                _ = asking.Send(StatusReport.Of(_pager, _subject).ToJson());
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown or SocketError.TimedOut or SocketError.ConnectionAborted)
            {
                // Who asked has gone.
            }
            catch (SocketException)
            {
                return;
            }
        }
    }
}
