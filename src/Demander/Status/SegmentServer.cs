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

    private readonly IPagerHost _pager;
    private readonly AskedSocket? _socket;

    private SegmentServer(IPagerHost pager, out string problem)
    {
        // Before anybody can ask.
        _pager = pager;
        _socket = AskedSocket.TryOpen(() => SegmentDirectory.PathFor(Environment.ProcessId), "heca-segments", Serve, out problem);
    }

    /// <summary>Null, with the reason, where this user has no place for the socket: a program need not fail for it.</summary>
    public static SegmentServer? TryStart(IPagerHost pager, out string problem)
    {
        var server = new SegmentServer(pager, out problem);
        return server._socket is null ? null : server;
    }

    public void Dispose() => _socket?.Dispose();

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
