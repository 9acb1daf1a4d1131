using System.Net.Sockets;
using System.Text.Json;
using Hecatonchire.Interop;
using Hecatonchire.Pager;

namespace Hecatonchire.Status;

/// <summary>
/// Tells at a socket of its own, beside the one for the status, what segments a pager's programs have, and changes their length: for the pager's user and root. One asker at a time.
/// </summary>
internal sealed class SegmentServer : IDisposable
{
    private const int QuestionBytesMax = 4096;

    /// <summary>Who connects and does not ask is not waited for longer: others may.</summary>
    private const int AskMsMax = 10_000;

    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly IPagerHost _pager;
    private readonly string _path;
    private readonly Thread _thread;

    private SegmentServer(IPagerHost pager, string path)
    {
        (_pager, _path) = (pager, path);

        // Left by a process of this number that was killed.
        File.Delete(path);
        _listener.Bind(new UnixDomainSocketEndPoint(path));
        _listener.Listen(16);
        _thread = new Thread(Run, maxStackSize: 256 * 1024) { Name = "heca-segments", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Null, with the reason, where this user has no place for the socket: a program need not fail for it.</summary>
    public static SegmentServer? TryStart(IPagerHost pager, out string problem)
    {
        problem = "";
        try
        {
            return new SegmentServer(pager, SegmentDirectory.PathFor(Environment.ProcessId));
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
                    Serve(asking);
                }
                catch (SocketException)
                {
                    // The same.
                }
            }
        }
    }

    private void Serve(Socket asking)
    {
        (asking.ReceiveTimeout, asking.SendTimeout) = (AskMsMax, AskMsMax);
        byte[] question = new byte[QuestionBytesMax];
        int length = 0;
        for (int read = -1; read != 0 && length < question.Length; length += read)
        {
            read = asking.Receive(question.AsSpan(length));
        }

        byte[] answer = JsonSerializer.SerializeToUtf8Bytes(AnswerTo(PeerCredentials.Of((int)asking.Handle), SegmentJson.Parse<SegmentQuestion>(question.AsSpan(0, length))), SegmentJson.Options);
        for (int sent = 0; sent < answer.Length;)
        {
            sent += asking.Send(answer.AsSpan(sent));
        }
    }

    private SegmentAnswer AnswerTo(in PeerCredentials peer, SegmentQuestion? question)
    {
        if (peer.User != 0 && peer.User != Libc.EffectiveUser())
        {
            return new SegmentAnswer { Error = "the program is another user's" };
        }

        return question switch
        {
            null => new SegmentAnswer { Error = "that is no question that this pager knows: not of the same build?" },
            { Resize: null } => new SegmentAnswer { Segments = _pager.Segments() },
            { Resize: { } resize } when Guid.TryParseExact(resize.Id, "N", out Guid id) && Enum.IsDefined(resize.Change) =>
                new SegmentAnswer { Error = _pager.ResizeSegment(id, resize.Bytes, resize.Change) },
            _ => new SegmentAnswer { Error = "a segment's id is 32 hexadecimal digits" },
        };
    }
}
