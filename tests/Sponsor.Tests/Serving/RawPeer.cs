using System.Buffers.Binary;
using System.Net.Sockets;

namespace Hecatonchire.Tests.Serving;

/// <summary>A peer that can say anything. Its frames are built from docs/protocol.md, not from the code under test.</summary>
internal sealed class RawPeer : IDisposable
{
    public RawPeer(ServerUnderTest server)
    {
        Socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp)
        {
            NoDelay = true,
            ReceiveTimeout = 20_000,
            SendTimeout = 20_000,
        };
        Socket.Connect(server.Address);
    }

    public Socket Socket { get; }

    public static byte[] Hello(ServerUnderTest server, byte[]? token = null)
    {
        byte[] hello = new byte[64];
        BinaryPrimitives.WriteUInt32LittleEndian(hello, 0x31434548);
        hello[4] = 1;
        hello[6] = 1;
        TestSlabDirectory.DemanderOf(server.Demander).TryWriteBytes(hello.AsSpan(16), bigEndian: true, out _);
        (token ?? server.Directory.NewToken(server.Demander)).CopyTo(hello, 32);
        return hello;
    }

    public static byte[] Request(byte op, ulong slab, uint slot, int pages, ulong id = 0, bool payload = true)
    {
        byte[] request = new byte[32 + (op == 2 && payload ? pages * 4096 : 0)];
        BinaryPrimitives.WriteUInt32LittleEndian(request, 0x51434548);
        request[4] = op;
        BinaryPrimitives.WriteUInt16LittleEndian(request.AsSpan(6), (ushort)pages);
        BinaryPrimitives.WriteUInt64LittleEndian(request.AsSpan(8), slab);
        BinaryPrimitives.WriteUInt32LittleEndian(request.AsSpan(16), slot);
        BinaryPrimitives.WriteUInt64LittleEndian(request.AsSpan(24), id);
        return request;
    }

    public void Send(params ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[Socket.Send(bytes)..];
        }
    }

    public byte[] Receive(int count)
    {
        byte[] bytes = new byte[count];
        for (int got = 0; got < count;)
        {
            int part = Socket.Receive(bytes, got, count - got, SocketFlags.None);
            if (part == 0)
            {
                return bytes[..got];
            }

            got += part;
        }

        return bytes;
    }

    /// <summary>Everything up to the end of the connection, however it ends.</summary>
    public byte[] ReceiveToEnd()
    {
        List<byte> all = [];
        byte[] part = new byte[1 << 16];
        try
        {
            while (Socket.Receive(part) is > 0 and int count)
            {
                all.AddRange(part.AsSpan(0, count));
            }
        }
        catch (SocketException failure) when (failure.SocketErrorCode is SocketError.ConnectionReset)
        {
        }

        return [.. all];
    }

    /// <summary>Says HELLO and takes the WELCOME.</summary>
    public RawPeer Welcomed(ServerUnderTest server)
    {
        Send(Hello(server));
        Xunit.Assert.Equal(0, Receive(64)[8]);
        return this;
    }

    public void Dispose() => Socket.Dispose();
}
