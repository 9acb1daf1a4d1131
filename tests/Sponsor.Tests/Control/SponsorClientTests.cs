using System.Net;
using System.Net.Sockets;
using Hecatonchire.Control;
using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Xunit;

namespace Hecatonchire.Tests.Control;

/// <summary>The demander's client against both planes of a real sponsor.</summary>
public sealed unsafe class SponsorClientTests
{
    private const long MiB = SponsorUnderTest.MiB;

    private static readonly SponsorClientOptions Quick = new()
    {
        RequestTimeout = TimeSpan.FromSeconds(20),
        HeartbeatInterval = TimeSpan.FromMilliseconds(20),
        SilenceMax = TimeSpan.FromMilliseconds(500),
    };

    [Fact]
    public void Hello_allocate_list_stats_free()
    {
        using SponsorUnderTest sponsor = new();
        using SponsorClient client = sponsor.Connect();
        Assert.Equal(256 * MiB, client.Hello.OfferedBytes);
        Assert.Equal(sponsor.Data.Port, client.Hello.DataPort);
        SlabEntry first = client.AllocateSlab(64 * MiB);
        SlabEntry second = client.AllocateSlab(128 * MiB);
        Assert.Equal([first, second], client.ListSlabs());
        StatsAnswer stats = client.Stats();
        Assert.Equal(192 * MiB, stats.LentBytes);
        Assert.Equal(64 * MiB, stats.FreeBytes);
        Assert.Equal(1, stats.Demanders);
        client.FreeSlab(first.Slab);
        Assert.Equal([second], client.ListSlabs());
        Assert.True(client.IsAlive);
    }

    [Fact]
    public void An_observer_sees_and_with_the_admin_key_says_what_is_offered_but_borrows_nothing()
    {
        using SponsorUnderTest sponsor = new();
        using SponsorClient client = sponsor.Connect(), observer = sponsor.Connect(Guid.Empty);
        _ = client.AllocateSlab(128 * MiB);
        StatsAnswer seen = observer.Stats();
        Assert.Equal((1, 128 * MiB, 0), (seen.Demanders, seen.LentBytes, seen.ReclaimBytes));
        foreach (Action borrow in (Action[])[() => observer.AllocateSlab(64 * MiB), () => observer.RequestToken(), () => observer.ListSlabs(), () => observer.FreeSlab(1)])
        {
            Assert.Equal(SponsorErrorCode.Refused, Assert.Throws<SponsorException>(borrow).Code);
        }

        SponsorException refused = Assert.Throws<SponsorException>(() => observer.Offer(0, new byte[ControlProtocol.AdminKeyBytes]));
        Assert.Contains("does not allow it: this is not the key in its sponsor.admin", refused.Message, StringComparison.Ordinal);
        Assert.Equal(256 * MiB, observer.Stats().OfferedBytes);

        OfferAnswer answer = observer.Offer(64 * MiB, sponsor.AdminKey);
        Assert.Equal((64 * MiB, 128 * MiB), (answer.OfferedBytes, answer.LentBytes));
        Assert.Equal((64 * MiB, 0L), (client.Stats().ReclaimBytes, observer.Stats().ReclaimBytes));
        Assert.Equal(SponsorErrorCode.Full, Assert.Throws<SponsorException>(() => client.AllocateSlab(64 * MiB)).Code);
    }

    [Fact]
    public void Errors_have_a_code_and_a_message_to_act_on()
    {
        using SponsorUnderTest sponsor = new();
        using SponsorClient client = sponsor.Connect();
        SponsorException full = Assert.Throws<SponsorException>(() => client.AllocateSlab(512 * MiB));
        Assert.Equal(SponsorErrorCode.Full, full.Code);
        Assert.Contains($"127.0.0.1:{sponsor.Control.Port} is full: 512MiB asked, 256MiB of 256MiB free", full.Message, StringComparison.Ordinal);
        Assert.Equal(SponsorErrorCode.Refused, Assert.Throws<SponsorException>(() => client.AllocateSlab(65 * MiB)).Code);
        Assert.Equal(SponsorErrorCode.NoSuchSlab, Assert.Throws<SponsorException>(() => client.FreeSlab(99)).Code);
    }

    [Fact]
    public void A_token_opens_a_data_connection_whose_pages_reach_the_slab()
    {
        using SponsorUnderTest sponsor = new();
        Guid demander = Guid.NewGuid();
        using SponsorClient client = sponsor.Connect(demander);
        SlabEntry slab = client.AllocateSlab(64 * MiB);
        DataToken token = client.RequestToken();
        using TcpDataConnection data = TcpDataConnection.Connect(
            new IPEndPoint(IPAddress.Loopback, token.Port), demander, token.Token, TimeSpan.FromSeconds(20));
        using PageBuffer pages = new(2);
        PageBuffer.Fill(pages[0], 77, 1);
        Assert.True(data.TryPostWrite(1, slab.Slab, 77, 1, pages[0]));
        data.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(data, 1)[1]);
        Assert.True(data.TryPostRead(2, slab.Slab, 77, 1, pages[1]));
        data.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(data, 1)[2]);
        Assert.True(PageBuffer.Holds(pages[1], 77, 1));
        StatsAnswer stats = client.Stats();
        Assert.Equal((1, 1, 1), (stats.DataConnections, stats.PagesRead, stats.PagesWritten));

        // A freed slab is no longer served.
        client.FreeSlab(slab.Slab);
        Assert.True(data.TryPostRead(3, slab.Slab, 77, 1, pages[1]));
        data.Submit();
        Assert.NotEqual(DataStatus.Done, Completions.Wait(data, 1)[3]);
    }

    [Fact]
    public void A_sponsor_that_is_stopping_takes_no_more()
    {
        using SponsorUnderTest sponsor = new();
        using SponsorClient client = sponsor.Connect();
        sponsor.Requests.IsStopping = true;
        SponsorException failure = Assert.Throws<SponsorException>(() => client.AllocateSlab(64 * MiB));
        Assert.Equal(SponsorErrorCode.Stopping, failure.Code);
        Assert.Equal(0, sponsor.Store.LentBytes);
    }

    [Fact]
    public void An_allocation_that_is_answered_too_late_is_given_back()
    {
        using SponsorUnderTest sponsor = new();
        using SponsorClient holder = sponsor.Connect();
        using SponsorClient late = sponsor.Connect(options: new SponsorClientOptions { RequestTimeout = TimeSpan.FromSeconds(2) });
        SlabEntry slab = holder.AllocateSlab(64 * MiB);

        // The serving thread is kept busy, so the control thread waits for it with the memory of the freed slab.
        using ManualResetEventSlim busy = new();
        using ManualResetEventSlim release = new();
        Thread keeping = new(() => sponsor.Data.RunBetweenRequests(() =>
        {
            busy.Set();
            release.Wait();
        }));
        keeping.Start();
        busy.Wait();
        Thread freeing = new(() => holder.FreeSlab(slab.Slab));
        freeing.Start();
        long served = sponsor.Requests.Served;
        try
        {
            Eventually.True(() => !sponsor.Store.LentByDemander().Any(lent => lent.LentBytes > 0), "the slab being freed");
            SponsorException failure = Assert.Throws<SponsorException>(() => late.AllocateSlab(128 * MiB));
            Assert.Equal(SponsorErrorCode.Unreachable, failure.Code);
        }
        finally
        {
            release.Set();
            keeping.Join();
            freeing.Join();
        }

        Assert.True(late.Stats().OfferedBytes > 0);
        Eventually.True(() => sponsor.Store.LentBytes == 0, "giving back");
        Assert.Contains(late.Demander, sponsor.Store.LentByDemander().Select(lent => lent.Id));
        Assert.True(sponsor.Requests.Served > served + 2);
    }

    [Fact]
    public void Many_threads_may_ask_at_once()
    {
        using SponsorUnderTest sponsor = new();
        using SponsorClient client = sponsor.Connect();
        Parallel.For(0, 8, new ParallelOptions { MaxDegreeOfParallelism = 8 }, _ =>
        {
            for (int i = 0; i < 20; i++)
            {
                Assert.Equal(256 * MiB, client.Stats().OfferedBytes);
                Assert.Equal(32, client.RequestToken().Token.Length);
            }
        });
    }

    [Fact]
    public void With_a_wrong_key_the_message_names_the_key()
    {
        using SponsorUnderTest sponsor = new();
        SponsorException failure = Assert.Throws<SponsorException>(() => SponsorClient.Connect(
            "127.0.0.1", sponsor.Control.Port, CurveKeyPair.Create().PublicZ85, Guid.NewGuid(), "test", TimeSpan.FromMilliseconds(300)));
        Assert.Equal(SponsorErrorCode.Unreachable, failure.Code);
        Assert.Contains($"127.0.0.1:{sponsor.Control.Port}", failure.Message, StringComparison.Ordinal);
        Assert.Contains("something listens there", failure.Message, StringComparison.Ordinal);
        Assert.Contains("sponsor.public", failure.Message, StringComparison.Ordinal);
        Assert.Equal(0, sponsor.Store.DemanderCount);
    }

    [Fact]
    public void Where_nobody_listens_the_message_says_so()
    {
        Capability.RequireZmq();
        using Socket taken = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        int port = ((IPEndPoint)taken.LocalEndPoint!).Port;
        SponsorException failure = Assert.Throws<SponsorException>(() => SponsorClient.Connect(
            "127.0.0.1", port, CurveKeyPair.Create().PublicZ85, Guid.NewGuid(), "test", TimeSpan.FromMilliseconds(200)));
        Assert.Equal(SponsorErrorCode.Unreachable, failure.Code);
        Assert.Contains("no sponsor is running there", failure.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("key", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Where_the_name_has_no_host_the_message_says_so()
    {
        Capability.RequireZmq();
        SponsorException failure = Assert.Throws<SponsorException>(() => SponsorClient.Connect(
            "nohost.invalid", 7400, CurveKeyPair.Create().PublicZ85, Guid.NewGuid(), "test", TimeSpan.FromMilliseconds(200)));
        Assert.Equal(SponsorErrorCode.Unreachable, failure.Code);
        Assert.Contains("no host of this name", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Something_that_is_no_key_is_refused_at_once()
    {
        SponsorException failure = Assert.Throws<SponsorException>(() =>
            SponsorClient.Connect("127.0.0.1", 1, "hello", Guid.NewGuid(), "test", TimeSpan.FromHours(1)));
        Assert.Equal(SponsorErrorCode.Refused, failure.Code);
        Assert.Contains("sponsor.public", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Heartbeats_alone_keep_a_demander()
    {
        ManualTime time = new();
        using SponsorUnderTest sponsor = new(time: time);
        using SponsorClient client = sponsor.Connect(options: Quick);
        client.AllocateSlab(64 * MiB);
        for (int i = 0; i < 5; i++)
        {
            // Two, so that one of them was wholly after the step.
            long served = sponsor.Requests.Served;
            Eventually.True(() => sponsor.Requests.Served >= served + 2, "heartbeats");
            time.Advance(0.9 * SponsorUnderTest.GoneAfter);
        }

        Assert.Equal(64 * MiB, sponsor.Store.LentBytes);
        Assert.True(client.IsAlive);
    }

    [Fact]
    public void A_sponsor_that_stops_answering_is_noticed()
    {
        SponsorUnderTest sponsor = new();
        using SponsorClient client = sponsor.Connect(options: Quick);
        string? told = null;
        client.Lost += why => Volatile.Write(ref told, why);
        sponsor.Dispose();
        Eventually.True(() => !client.IsAlive && Volatile.Read(ref told) is not null, "noticing");
        Assert.Contains("has not answered", told, StringComparison.Ordinal);
        Assert.Equal(told, client.Failure);
    }

    [Fact]
    public void A_sponsor_that_was_restarted_has_lost_what_it_held_and_says_so()
    {
        CurveKeyPair keys;
        int port;
        SponsorClient client;
        using (SponsorUnderTest first = new())
        {
            keys = first.Keys;
            port = first.Control.Port;
            client = first.Connect(options: Quick);
            client.AllocateSlab(64 * MiB);
        }

        using (client)
        using (new SponsorUnderTest(keys, port))
        {
            Eventually.True(() => client.Failure?.Contains("was restarted", StringComparison.Ordinal) == true, "noticing the restart");
            SponsorException failure = Assert.Throws<SponsorException>(() => client.AllocateSlab(64 * MiB));
            Assert.Equal(SponsorErrorCode.Lost, failure.Code);
        }
    }

    [Fact]
    public void A_connection_that_the_sponsor_forgot_says_hello_again_without_anybody_noticing()
    {
        // The session expires between two heartbeats, while the data connection keeps the demander and its slab.
        ManualTime time = new();
        using SponsorUnderTest sponsor = new(time: time);
        Guid demander = Guid.NewGuid();
        using SponsorClient client = sponsor.Connect(
            demander, Quick with { HeartbeatInterval = TimeSpan.FromSeconds(30), SilenceMax = TimeSpan.FromSeconds(60) });
        SlabEntry slab = client.AllocateSlab(64 * MiB);
        DataToken token = client.RequestToken();
        using TcpDataConnection data = TcpDataConnection.Connect(
            new IPEndPoint(IPAddress.Loopback, token.Port), demander, token.Token, TimeSpan.FromSeconds(20));
        time.Advance(SponsorUnderTest.GoneAfter + TimeSpan.FromMilliseconds(1));
        Eventually.True(() => sponsor.Requests.SessionCount == 0, "forgetting");
        Assert.Equal([slab], client.ListSlabs());
        Assert.Equal(1, sponsor.Requests.Refused);
        Assert.True(client.IsAlive);
    }

    [Fact]
    public void Slabs_that_the_sponsor_freed_meanwhile_are_noticed()
    {
        ManualTime time = new();
        using SponsorUnderTest sponsor = new(time: time);
        using SponsorClient client = sponsor.Connect(
            options: Quick with { HeartbeatInterval = TimeSpan.FromSeconds(30), SilenceMax = TimeSpan.FromSeconds(60) });
        client.AllocateSlab(64 * MiB);
        time.Advance(SponsorUnderTest.GoneAfter + TimeSpan.FromMilliseconds(1));
        Eventually.True(() => sponsor.Store.DemanderCount == 0, "sweep");
        try
        {
            client.Stats();
        }
        catch (SponsorException failure)
        {
            Assert.Equal(SponsorErrorCode.Lost, failure.Code);
        }

        Eventually.True(() => client.Failure?.Contains("freed its slabs", StringComparison.Ordinal) == true, "noticing");
    }

    [Fact]
    public void Disposing_ends_the_thread_and_later_requests_throw()
    {
        using SponsorUnderTest sponsor = new();
        SponsorClient client = sponsor.Connect();
        client.Dispose();
        client.Dispose();
        Assert.Throws<ObjectDisposedException>(() => client.Stats());
    }
}
