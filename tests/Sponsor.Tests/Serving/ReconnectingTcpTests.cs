using System.Diagnostics;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Reconnecting;
using Xunit;

namespace Hecatonchire.Tests.Serving;

/// <summary>A link of one connection to a real server, which can drop it at any moment.</summary>
internal sealed class ReconnectingPeer : DataConnectionContract.Peer, IDataConnectionFactory
{
    private readonly DataLink _link;
    private bool _isKilled;

    public ReconnectingPeer(DataLinkOptions? options = null)
    {
        _link = new DataLink(this, connections: 1, options ?? new DataLinkOptions(), TimeProvider.System);
        _link.Start();
    }

    public ServerUnderTest Server { get; } = new();

    public override IDataConnection Connection => _link[0];

    public override ulong Slab => Server.Slab;

    public long Rebuilds => _link.Rebuilds;

    /// <summary>Attempts that fail before one may succeed.</summary>
    public int Failures { get; set; }

    /// <summary>As a network that loses the connection, seen from the sponsor.</summary>
    public void Cut() => Server.Server.DropConnections(new DemanderHandle(Server.Demander));

    public override void Kill()
    {
        _isKilled = true;
        Server.Dispose();
    }

    IDataConnection IDataConnectionFactory.Open() => Server.Connect();

    void IDataConnectionFactory.Fence(TimeSpan timeout, CancellationToken stop)
    {
        if (_isKilled)
        {
            throw new DataConnectionException(DataConnectionFailure.Lost, "the sponsor has ended");
        }

        if (Failures > 0)
        {
            Failures--;
            throw new DataConnectionException(DataConnectionFailure.Unreachable, "nobody answers");
        }

        Cut();
    }

    public override void Dispose()
    {
        _link.Dispose();
        if (!_isKilled)
        {
            Server.Dispose();
        }
    }
}

/// <summary>The contract through a link over TCP, and what it adds: connections may end, requests do not.</summary>
public sealed unsafe class ReconnectingTcpTests : DataConnectionContract
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    internal override Peer Open() => new ReconnectingPeer();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void A_random_mix_fits_the_model_although_its_connection_is_cut_all_the_time(int seed)
    {
        using ReconnectingPeer peer = new();
        int cuts = 0;
        bool isOver = false;
        Thread cutter = new(() =>
        {
            Random random = new(seed);
            while (!Volatile.Read(ref isOver))
            {
                peer.Cut();
                cuts++;
                _ = SpinWait.SpinUntil(() => Volatile.Read(ref isOver), random.Next(20));
            }
        });
        cutter.Start();
        try
        {
            Assert.Equal(40_000, new RandomWorkload(peer.Connection, peer.Slab, Slots, seed).Run(requests: 40_000, runPagesMax: 16));
        }
        finally
        {
            Volatile.Write(ref isOver, true);
            cutter.Join();
        }

        Assert.True(peer.Rebuilds > 5, $"{cuts} cuts, {peer.Rebuilds} rebuilds");
        Assert.False(peer.Connection.IsBroken);
    }

    [Fact]
    public void A_connection_that_ends_with_nothing_in_flight_is_rebuilt_too()
    {
        using ReconnectingPeer peer = new();
        for (int i = 1; i <= 3; i++)
        {
            peer.Cut();
            WaitUntil(peer, () => peer.Rebuilds == i && peer.Server.Directory.Connections == 1);
        }

        using PageBuffer page = new(1);
        Assert.True(peer.Connection.TryPostRead(1, peer.Slab, 0, 1, page.Memory));
        peer.Connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(peer.Connection, 1)[1]);
    }

    [Fact]
    public void While_there_is_no_connection_requests_are_taken_and_who_waits_uses_no_CPU()
    {
        using ReconnectingPeer peer = new() { Failures = 5 };
        using PageBuffer pages = new(64);
        peer.Cut();
        for (int i = 0; i < 64; i++)
        {
            Assert.True(peer.Connection.TryPostRead((ulong)i, peer.Slab, (uint)i, 1, pages[i]));
        }

        peer.Connection.Submit();
        int looks = 0;
        DataCompletion[] completions = new DataCompletion[64];
        long started = Stopwatch.GetTimestamp();
        for (int done = 0; done < 64; looks++)
        {
            done += peer.Connection.Poll(completions);
            Assert.False(peer.Connection.IsBroken);
            Assert.True(Stopwatch.GetElapsedTime(started) < Deadline, "hung");
            Completions.WaitForWork(peer.Connection);
        }

        // Half a second of pauses: it looks where there is something to see (on a busy host answers come in pieces), not all the time,
        // which would be hundreds of thousands.
        Assert.InRange(looks, 1, 10_000);
    }

    [Fact]
    public void A_sponsor_that_nobody_reaches_is_given_up_when_its_time_is_over_and_everything_ends_as_disconnected()
    {
        using ReconnectingPeer peer = new(new DataLinkOptions { GiveUpAfter = TimeSpan.FromMilliseconds(500) }) { Failures = int.MaxValue };
        using PageBuffer pages = new(20);
        for (int i = 0; i < 20; i++)
        {
            Assert.True(peer.Connection.TryPostWrite((ulong)i, peer.Slab, (uint)i, 1, pages[i]));
        }

        peer.Cut();
        long started = Stopwatch.GetTimestamp();
        peer.Connection.Submit();
        Assert.All(Completions.Wait(peer.Connection, 20).Values, status => Assert.Equal(DataStatus.Disconnected, status));
        Assert.True(Stopwatch.GetElapsedTime(started).TotalSeconds > 0.5, "given up too early");
        Assert.True(peer.Connection.IsBroken);
        Assert.Equal(0, peer.Connection.FreeRequests);
        Assert.False(peer.Connection.TryPostRead(99, peer.Slab, 0, 1, pages.Memory));
    }

    [Fact]
    public void A_break_costs_its_user_no_allocation()
    {
        using ReconnectingPeer peer = new();
        using PageBuffer pages = new(4);
        DataCompletion[] completions = new DataCompletion[8];
        long allocated = 0;
        for (int round = 0; round < 3; round++)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            peer.Cut();
            long cut = GC.GetAllocatedBytesForCurrentThread() - before;
            for (int i = 0; i < 4; i++)
            {
                _ = peer.Connection.TryPostWrite((ulong)i, peer.Slab, (uint)i, 1, pages[i]);
            }

            peer.Connection.Submit();
            for (int done = 0; done < 4;)
            {
                done += peer.Connection.Poll(completions);
                Completions.WaitForWork(peer.Connection);
            }

            allocated = GC.GetAllocatedBytesForCurrentThread() - before - cut;
        }

        Assert.Equal(3, peer.Rebuilds);
        Assert.Equal(0, allocated);
    }

    private static void WaitUntil(ReconnectingPeer peer, Func<bool> state)
    {
        DataCompletion[] completions = new DataCompletion[4];
        long started = Stopwatch.GetTimestamp();
        while (!state())
        {
            Assert.True(Stopwatch.GetElapsedTime(started) < Deadline, "was not rebuilt in time");
            Completions.WaitForWork(peer.Connection);
            Assert.Equal(0, peer.Connection.Poll(completions));
        }
    }
}
