using System.Net;
using System.Net.Sockets;

namespace Hecatonchire.Tests.Serving;

/// <summary>Forwards one connection both ways in pieces of 1 to a few thousand bytes, mostly tiny ones; seeded.</summary>
internal sealed class FragmentingProxy : IDisposable
{
    private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly Thread _thread;

    public FragmentingProxy(IPEndPoint target, int seed)
    {
        _listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listener.Listen(1);
        _thread = new Thread(() => Run(target, seed)) { Name = "fragmenting-proxy", IsBackground = true };
        _thread.Start();
    }

    public IPEndPoint Address => (IPEndPoint)_listener.LocalEndPoint!;

    private void Run(IPEndPoint target, int seed)
    {
        using Socket client = _listener.Accept();
        using Socket server = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        client.NoDelay = true;
        server.Connect(target);
        Thread back = new(() => Forward(server, client, seed + 1000)) { Name = "fragmenting-proxy-back", IsBackground = true };
        back.Start();
        Forward(client, server, seed);
        back.Join();
    }

    private static void Forward(Socket from, Socket to, int seed)
    {
        Random random = new(seed);
        byte[] buffer = new byte[1 << 16];
        try
        {
            while (from.Receive(buffer) is > 0 and int count)
            {
                for (int sent = 0; sent < count;)
                {
                    int most = random.Next(4) switch { 0 => 3, 1 => 33, _ => 6000 };
                    sent += to.Send(buffer, sent, Math.Min(random.Next(1, most + 1), count - sent), SocketFlags.None);
                }
            }

            to.Shutdown(SocketShutdown.Both);
        }
        catch (SocketException)
        {
            // One side went; the other learns it by the end of its connection.
            to.Close();
        }
        catch (ObjectDisposedException)
        {
        }
    }

    public void Dispose()
    {
        _listener.Dispose();
        _thread.Join();
    }
}
