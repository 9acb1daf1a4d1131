using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Xunit;

namespace Hecatonchire.Tests.Serving;

internal sealed class TcpPeer : DataConnectionContract.Peer
{
    private readonly ServerUnderTest _server;
    private readonly FragmentingProxy? _proxy;
    private bool _killed;

    public TcpPeer(int? fragmentSeed = null)
    {
        _server = new ServerUnderTest();
        _proxy = fragmentSeed is int seed ? new FragmentingProxy(_server.Address, seed) : null;
        Connection = _server.Connect(address: _proxy?.Address);
    }

    public override IDataConnection Connection { get; }

    public override ulong Slab => _server.Slab;

    public Hecatonchire.Sponsor.Serving.DataServer Server => _server.Server;

    public override void Kill()
    {
        _killed = true;
        _server.Dispose();
    }

    public override void Dispose()
    {
        Connection.Dispose();
        _proxy?.Dispose();
        if (!_killed)
        {
            _server.Dispose();
        }
    }
}

/// <summary>The contract over TCP, against a real server.</summary>
public sealed unsafe class TcpDataConnectionTests : DataConnectionContract
{
    internal override Peer Open() => new TcpPeer();

    [Fact]
    public void The_sponsor_says_who_it_is()
    {
        using ServerUnderTest server = new();
        using TcpDataConnection connection = server.Connect();
        Assert.Equal(ServerUnderTest.SponsorId, connection.SponsorId);
        Assert.Equal(256, connection.PagesPerRequestMax);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Any_fragmentation_of_the_stream_is_the_same_stream(int seed)
    {
        using TcpPeer peer = new(fragmentSeed: seed);
        Assert.Equal(400, new RandomWorkload(peer.Connection, peer.Slab, Slots, seed).Run(requests: 400, runPagesMax: 8));
    }

    [Fact]
    public void Writes_larger_than_the_socket_buffers_go_out_piece_by_piece()
    {
        using TcpPeer peer = new();
        using PageBuffer pages = new(256);
        for (int i = 0; i < 256; i++)
        {
            PageBuffer.Fill(pages[i], (uint)i, 3);
        }

        // 128 MiB, all from the same megabyte to the same slots.
        for (int i = 0; i < 128; i++)
        {
            Assert.True(peer.Connection.TryPostWrite((ulong)i, peer.Slab, 0, 256, pages.Memory));
        }

        // While the server does not read, they cannot all go out.
        using ManualResetEventSlim paused = new();
        using ManualResetEventSlim resume = new();
        Thread pause = new(() => peer.Server.RunBetweenRequests(() =>
        {
            paused.Set();
            resume.Wait();
        }));
        pause.Start();
        paused.Wait();
        peer.Connection.Submit();
        Assert.Equal(1u | 4u, peer.Connection.WaitEvents);
        resume.Set();
        pause.Join();
        Assert.All(Completions.Wait(peer.Connection, 128).Values, status => Assert.Equal(DataStatus.Done, status));
        Assert.Equal(1u, peer.Connection.WaitEvents);
        pages.Span(0, 256).Clear();
        Assert.True(peer.Connection.TryPostRead(1, peer.Slab, 0, 256, pages.Memory));
        peer.Connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(peer.Connection, 1)[1]);
        for (int i = 0; i < 256; i++)
        {
            Assert.True(PageBuffer.Holds(pages[i], (uint)i, 3));
        }
    }

    [Fact]
    public void The_death_of_the_sponsor_shows_even_with_nothing_in_flight()
    {
        using Peer peer = Open();
        peer.Kill();
        Completions.WaitUntilBroken(peer.Connection);
        Assert.Equal("the sponsor closed the connection", ((TcpDataConnection)peer.Connection).BreakReason);
    }
}
