using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Handover;
using Hecatonchire.Units;

namespace Hecatonchire.Tests.Fuzz;

/// <summary>One peer of a listener that sends what it should not. Each call sends some frames and returns how many.</summary>
internal delegate int Malformed(Random random);

/// <summary>A peer for each listener of both daemons.</summary>
internal static class Listeners
{
    private const int TimeMs = 20_000;

    /// <summary>Connections to the data plane: some with a good HELLO, some past it with good frames among the others.</summary>
    public static Malformed Data(SponsorClient demander, ulong slab, int port) => random =>
    {
        List<byte> stream = [];
        byte[] hello = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(hello, 0x31434548);
        hello[4] = hello[6] = 1;
        WireId.ToBytes(demander.Demander).CopyTo(hello.AsSpan(16));
        (random.Next(4) == 0 ? Mutation.Noise(random, 32) : demander.RequestToken().Token).CopyTo(hello, 32);
        stream.AddRange(random.Next(4) == 0 ? Mutation.Of(hello, random) : hello);
        int frames = random.Next(1, 60);
        for (int i = 1; i < frames; i++)
        {
            byte op = (byte)random.Next(1, 3);
            int pages = random.Next(1, 4);
            byte[] frame = new byte[32 + (op == 2 ? pages * PageSize.Bytes : 0)];
            BinaryPrimitives.WriteUInt32LittleEndian(frame, 0x51434548);
            frame[4] = op;
            BinaryPrimitives.WriteUInt16LittleEndian(frame.AsSpan(6), (ushort)pages);
            BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(8), slab);
            BinaryPrimitives.WriteUInt32LittleEndian(frame.AsSpan(16), (uint)random.Next(16_000));
            BinaryPrimitives.WriteUInt64LittleEndian(frame.AsSpan(24), (ulong)random.NextInt64());
            stream.AddRange(random.Next(20) == 0 ? Mutation.Of(frame.AsSpan(0, 32), random) : frame);
        }

        Exchange(new IPEndPoint(IPAddress.Loopback, port), [.. stream], random);
        return frames;
    };

    /// <summary>Connections to the control channel that are not ZeroMQ's, or not for long.</summary>
    public static Malformed ControlBytes(int port)
    {
        byte[] greeting = new byte[64];
        (greeting[0], greeting[9], greeting[10]) = (0xFF, 0x7F, 3);
        "CURVE"u8.CopyTo(greeting.AsSpan(12));
        return random =>
        {
            byte[] command = [4, 200, 5, .. "HELLO"u8, .. Mutation.Noise(random, 194)];
            Exchange(new IPEndPoint(IPAddress.Loopback, port), Mutation.Of([.. greeting, .. command], random), random);
            return 1;
        };
    }

    /// <summary>Messages that come through CURVE with a key that is served, and are none.</summary>
    public sealed class Messages : IDisposable
    {
        private const int Batch = 64;

        private readonly ZmqContext _context = ZmqContext.Create();
        private readonly ZmqSocket _socket;
        private readonly WakeSignal _wake = new();
        private readonly byte[] _buffer = new byte[ZmqSocket.FrameBytesMax];

        public Messages(int port, string sponsor, CurveKeyPair keys)
        {
            _socket = ZmqSocket.CreateDealer(_context, keys, sponsor);
            _socket.Connect("127.0.0.1", port);
        }

        public int Send(Random random)
        {
            int sent = 0;
            for (int i = 0; i < Batch; i++)
            {
                byte[] frame = random.Next(20) == 0 ? Mutation.Noise(random, random.Next(2000)) : Mutation.Of(Right(random).Encode(), random);
                bool more = random.Next(50) == 0;
                long end = Environment.TickCount64 + TimeMs;
                while (!_socket.TrySend(frame, more))
                {
                    Xunit.Assert.True(Environment.TickCount64 < end, "the control channel takes nothing any more");
                    _socket.Wait(_wake.Descriptor, 10);
                    Drain();
                }

                sent++;
            }

            Drain();
            return sent;
        }

        public void Dispose()
        {
            _socket.Dispose();
            _context.Dispose();
            _wake.Dispose();
        }

        private void Drain()
        {
            while (_socket.TryReceive(_buffer, out _, out _))
            {
            }
        }

        private static ControlRequest Right(Random random) => random.Next(11) switch
        {
            0 or 1 => new HelloRequest((ulong)random.Next(), random.Next(8) == 0 ? Guid.Empty : new Guid(Mutation.Noise(random, 16)), "fuzz"),
            2 => new TokenRequest((ulong)random.Next()),
            3 => new AllocateRequest((ulong)random.Next(), 64L << random.Next(15, 30)),
            4 => new FreeRequest((ulong)random.Next(), (ulong)random.Next(64)),
            5 => new KeyRequest((ulong)random.Next(), (ulong)random.Next(64), (uint)random.Next(8)),
            6 => new ListRequest((ulong)random.Next()),
            7 => new StatsRequest((ulong)random.Next()),
            8 => new ResetRequest((ulong)random.Next()),
            9 => new OfferRequest((ulong)random.Next(), random.NextInt64(), Mutation.Noise(random, ControlProtocol.AdminKeyBytes)),
            _ => new HeartbeatRequest((ulong)random.Next()),
        };
    }

    /// <summary>Requests for metrics.</summary>
    public static Malformed Http(int port)
    {
        byte[] right = Encoding.ASCII.GetBytes("GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: text/plain;version=0.0.4\r\nAccept-Encoding: gzip\r\n\r\n");
        return random =>
        {
            Exchange(new IPEndPoint(IPAddress.Loopback, port), random.Next(10) == 0 ? Mutation.Noise(random, random.Next(1, 3000)) : Mutation.Of(right, random), random);
            return 1;
        };
    }

    /// <summary>The sockets on the host.</summary>
    public static Malformed Unix(string path, ReadOnlyMemory<byte> right) => random =>
    {
        Exchange(new UnixDomainSocketEndPoint(path), random.Next(10) == 0 ? Mutation.Noise(random, random.Next(6000)) : Mutation.Of(right.Span, random), random);
        return 1;
    };

    /// <summary>Packets to the socket that programs hand their userfaultfd over on, none with a descriptor.</summary>
    public static Malformed Handover(string path) => random =>
    {
        HandoverMessage hello = new() { Magic = HandoverAbi.Magic, Version = HandoverAbi.Version, Kind = random.Next(2) == 0 ? HandoverAbi.Hello : HandoverAbi.Enable };
        ReadOnlySpan<byte> right = MemoryMarshal.AsBytes(new ReadOnlySpan<HandoverMessage>(in hello));
        using var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified) { SendTimeout = TimeMs, ReceiveTimeout = TimeMs };
        socket.Connect(new UnixDomainSocketEndPoint(path));
        int packets = random.Next(1, 4);
        try
        {
            for (int i = 0; i < packets; i++)
            {
                _ = socket.Send(random.Next(10) == 0 ? Mutation.Noise(random, random.Next(300)) : random.Next(3) == 0 ? right : Mutation.Of(right, random));
            }

            if (random.Next(2) == 0)
            {
                _ = socket.Receive(new byte[256]);
            }
        }
        catch (SocketException failure) when (failure.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
        {
            // Refused at the first packet.
        }

        return packets;
    };

    /// <summary>Sends, in pieces, takes what comes or does not, and goes in one way or another.</summary>
    private static void Exchange(EndPoint where, byte[] bytes, Random random)
    {
        using var socket = new Socket(where.AddressFamily, SocketType.Stream, ProtocolType.Unspecified) { SendTimeout = TimeMs, ReceiveTimeout = TimeMs };
        if (where is IPEndPoint)
        {
            // So many addresses that none has a port left over from before.
            socket.Bind(new IPEndPoint(new IPAddress([127, (byte)random.Next(1, 255), (byte)random.Next(1, 255), (byte)random.Next(1, 255)]), 0));
        }

        try
        {
            socket.Connect(where);
            for (int sent = 0; sent < bytes.Length;)
            {
                sent += socket.Send(bytes.AsSpan(sent, random.Next(4) == 0 ? random.Next(1, bytes.Length - sent + 1) : bytes.Length - sent));
            }

            if (random.Next(3) > 0)
            {
                socket.Shutdown(SocketShutdown.Send);
                byte[] sink = new byte[1 << 14];
                while (socket.Receive(sink) > 0)
                {
                }
            }
            else if (random.Next(2) == 0)
            {
                socket.LingerState = new LingerOption(true, 0);
            }
        }
        catch (SocketException failure) when (failure.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown or SocketError.ConnectionAborted)
        {
            // Closed on us, which is right.
        }
    }
}
