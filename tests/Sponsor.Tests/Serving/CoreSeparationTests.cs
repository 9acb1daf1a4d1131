using System.Net;
using System.Net.Sockets;
using Hecatonchire.Interop;
using Hecatonchire.Sponsor.Serving;
using Xunit;

namespace Hecatonchire.Tests.Serving;

public sealed unsafe class CoreSeparationTests : IDisposable
{
    private const int Rounds = 1000;
    private const int MaskWords = 16;

    private readonly TcpListener _listener = new(IPAddress.Any, 0);
    private readonly List<Socket> _sockets = [];

    [Theory]
    [InlineData("127.0.0.1", "127.0.0.1", true)]
    [InlineData("127.0.0.1", "127.0.0.2", false)]
    public void The_same_address_at_both_ends_is_this_host(string from, string to, bool isSame)
    {
        (_, Socket accepted) = Connect(from, to);
        Assert.Equal(isSame, CoreSeparation.IsSameHost((int)accepted.Handle));
    }

    [Fact]
    public void The_serving_thread_leaves_the_core_from_which_requests_come()
    {
        Assert.SkipWhen(Environment.ProcessorCount < 2, "one core cannot be left");
        (Socket client, Socket accepted) = Connect("127.0.0.1", "127.0.0.1");
        ulong before = 0, after = 0;
        Pinned(() =>
        {
            var separation = new CoreSeparation();
            before = Mask();
            byte[] one = new byte[1];
            Pinned(
                () =>
                {
                    Pin(0);
                    for (int i = 0; i < Rounds; i++)
                    {
                        client.Send(one);
                    }
                });
            for (int i = 0; i < Rounds; i++)
            {
                separation.Note((int)accepted.Handle);
            }

            after = Mask();
        });

        Assert.Equal(1UL, before & 1);
        Assert.Equal(before & ~1UL, after);
    }

    public void Dispose()
    {
        _sockets.ForEach(socket => socket.Dispose());
        _listener.Dispose();
    }

    /// <summary>On a thread of its own, whose affinity ends with it.</summary>
    private static void Pinned(Action action)
    {
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                action();
            }
            catch (Exception e) when (e is SocketException or IOException)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        Assert.Null(failure);
    }

    private static void Pin(int core)
    {
        ulong* mask = stackalloc ulong[MaskWords];
        new Span<ulong>(mask, MaskWords).Clear();
        mask[core / 64] = 1UL << (core % 64);
        Assert.Equal(0, Libc.SetAffinity(0, MaskWords * sizeof(ulong), mask));
    }

    private static ulong Mask()
    {
        ulong* mask = stackalloc ulong[MaskWords];
        Assert.True(Libc.GetAffinity(0, MaskWords * sizeof(ulong), mask) >= 0);
        return mask[0];
    }

    private (Socket Client, Socket Accepted) Connect(string from, string to)
    {
        _listener.Start();
        var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.Bind(new IPEndPoint(IPAddress.Parse(from), 0));
        client.Connect(IPAddress.Parse(to), ((IPEndPoint)_listener.LocalEndpoint).Port);
        Socket accepted = _listener.AcceptSocket();
        _sockets.AddRange([client, accepted]);
        return (client, accepted);
    }
}
