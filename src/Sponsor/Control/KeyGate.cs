using Hecatonchire.Control.ZeroMq;

namespace Hecatonchire.Sponsor.Control;

/// <summary>
/// Answers libzmq's question whether a CURVE key is let in (ZeroMQ's RFC 27, ZAP): each is, and what comes from its connection carries the key from then on. Whether it is
/// served is judged with each request, so that its owner is told why not, and one that is revoked later is served no more. Used by the control thread.
/// </summary>
internal sealed class KeyGate(ZmqContext context) : IDisposable
{
    // version, request, domain, address, identity, mechanism, key.
    private const int Frames = 7;

    private readonly ZmqSocket _socket = ZmqSocket.CreateAuthenticator(context);
    private readonly byte[][] _frames = [.. Enumerable.Range(0, Frames).Select(_ => new byte[256])];
    private readonly int[] _lengths = new int[Frames];

    /// <summary>For waiting only.</summary>
    public ZmqSocket Socket => _socket;

    /// <summary>Answers one question; false when there is none.</summary>
    public bool TryAnswer()
    {
        int count = 0;
        bool more = true;
        while (more)
        {
            if (!_socket.TryReceive(_frames[Math.Min(count, Frames - 1)], out int length, out more))
            {
                return false;
            }

            _lengths[Math.Min(count, Frames - 1)] = length;
            count++;
        }

        bool isKey = count == Frames && Frame(5).SequenceEqual("CURVE"u8) && _lengths[6] == CurveKeyPair.KeyBytes;
        Send(Frame(0));
        Send(Frame(1));
        Send(isKey ? "200"u8 : "400"u8);
        Send(default);
        Send(isKey ? System.Text.Encoding.ASCII.GetBytes(CurveKeyPair.Encode(Frame(6))) : []);
        _socket.TrySend(default);
        return true;
    }

    public void Dispose() => _socket.Dispose();

    private ReadOnlySpan<byte> Frame(int index) => _frames[index].AsSpan(0, _lengths[index]);

    private void Send(ReadOnlySpan<byte> frame) => _socket.TrySend(frame, more: true);
}
