using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using Hecatonchire.Transport.Tcp;

namespace Hecatonchire.Tests.Transport;

/// <summary>A socket that answers one connection after the other with whatever a test wants a client to see.</summary>
internal sealed class FakeSponsor : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly Thread _thread;

    /// <summary>For each connection, with its number: the bytes to send once the HELLO is in; then the connection is closed.</summary>
    public FakeSponsor(Func<int, byte[]> answer)
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(16);
        _thread = new Thread(() => Run(answer)) { Name = "fake-sponsor", IsBackground = true };
        _thread.Start();
    }

    public IPEndPoint Address => (IPEndPoint)_listener.LocalEndPoint!;

    public static byte[] Welcome(WireStatus status = WireStatus.Ok, ushort version = 1, uint pagesMax = 256)
    {
        byte[] welcome = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(welcome, 0x31434548);
        BinaryPrimitives.WriteUInt16LittleEndian(welcome.AsSpan(4), version);
        BinaryPrimitives.WriteUInt16LittleEndian(welcome.AsSpan(6), 2);
        BinaryPrimitives.WriteUInt32LittleEndian(welcome.AsSpan(8), (uint)status);
        BinaryPrimitives.WriteUInt32LittleEndian(welcome.AsSpan(12), pagesMax);
        return welcome;
    }

    /// <summary>An answer as docs/protocol.md has it, built from the document and not from the code under test.</summary>
    public static byte[] Response(byte op, byte status, ushort pages, ulong slab, uint slot, ulong id)
    {
        byte[] response = new byte[32 + (op == 1 && status == 0 ? pages * 4096 : 0)];
        BinaryPrimitives.WriteUInt32LittleEndian(response, 0x52434548);
        response[4] = op;
        response[5] = status;
        BinaryPrimitives.WriteUInt16LittleEndian(response.AsSpan(6), pages);
        BinaryPrimitives.WriteUInt64LittleEndian(response.AsSpan(8), slab);
        BinaryPrimitives.WriteUInt32LittleEndian(response.AsSpan(16), slot);
        BinaryPrimitives.WriteUInt64LittleEndian(response.AsSpan(24), id);
        response.AsSpan(32).Fill(0x5A);
        return response;
    }

    private void Run(Func<int, byte[]> answer)
    {
        byte[] sink = new byte[1 << 16];
        try
        {
            for (int number = 0; ; number++)
            {
                using Socket peer = _listener.Accept();
                try
                {
                    for (int got = 0; got < 64;)
                    {
                        int count = peer.Receive(sink, 0, 64 - got, SocketFlags.None);
                        if (count == 0)
                        {
                            break;
                        }

                        got += count;
                    }

                    _ = peer.Send(answer(number));
                    peer.Shutdown(SocketShutdown.Send);
                    while (peer.Receive(sink) > 0)
                    {
                    }
                }
                catch (SocketException)
                {
                    // The client went first.
                }
            }
        }
        catch (SocketException)
        {
            // Disposed.
        }
        catch (ObjectDisposedException)
        {
        }
    }

    public void Dispose()
    {
        // Shutdown, because closing alone does not end a blocking accept.
        try
        {
            _listener.Shutdown(SocketShutdown.Both);
        }
        catch (SocketException)
        {
        }

        _listener.Dispose();
        _thread.Join();
    }
}
