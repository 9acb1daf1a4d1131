using System.Diagnostics;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;
using Xunit;

namespace Hecatonchire.Tests.Control;

/// <summary>A DEALER that says whatever a test wants.</summary>
internal sealed class RawClient : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    private readonly ZmqContext _context = ZmqContext.Create();
    private readonly WakeSignal _wake = new();
    private readonly ZmqSocket _socket;
    private readonly byte[] _buffer = new byte[ZmqSocket.FrameBytesMax];

    public RawClient(SponsorUnderTest sponsor)
    {
        _socket = ZmqSocket.CreateDealer(_context, CurveKeyPair.Create(), sponsor.Keys.PublicZ85);
        _socket.Connect("127.0.0.1", sponsor.Control.Port);
    }

    public void Send(params byte[][] frames)
    {
        for (int i = 0; i < frames.Length; i++)
        {
            // A full queue takes more when the sponsor has read.
            bool more = i < frames.Length - 1;
            Eventually.True(() => _socket.TrySend(frames[i], more), "sending");
        }
    }

    public void Send(ControlRequest request) => Send(request.Encode());

    public ControlAnswer Receive()
    {
        long started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < Deadline)
        {
            if (_socket.TryReceive(_buffer, out int length, out _))
            {
                ControlAnswer? answer = AnswerDecoder.Decode(_buffer.AsMemory(0, length));
                Assert.NotNull(answer);
                return answer;
            }

            _socket.Wait(_wake.Descriptor, 100);
        }

        throw new TimeoutException("no answer came");
    }

    public ControlAnswer Ask(ControlRequest request)
    {
        Send(request);
        ControlAnswer answer = Receive();
        Assert.Equal(request.Id, answer.Id);
        return answer;
    }

    public void Dispose()
    {
        _socket.Dispose();
        _context.Dispose();
        _wake.Dispose();
    }
}
