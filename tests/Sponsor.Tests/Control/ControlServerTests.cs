using Hecatonchire.Control.Messages;
using Hecatonchire.Control.ZeroMq;
using Xunit;

namespace Hecatonchire.Tests.Control;

/// <summary>The control loop over real CURVE sockets.</summary>
public sealed class ControlServerTests
{
    private const long MiB = SponsorUnderTest.MiB;

    private static HelloRequest Hello(ulong id = 1, Guid? demander = null) => new(id, demander ?? Guid.NewGuid(), "raw");

    [Fact]
    public void Everything_before_hello_is_refused()
    {
        using SponsorUnderTest sponsor = new();
        using RawClient client = new(sponsor);
        ControlRequest[] early =
            [new TokenRequest(1), new AllocateRequest(2, 64 * MiB), new FreeRequest(3, 1), new KeyRequest(8, 1, 1), new ListRequest(4), new StatsRequest(5), new HeartbeatRequest(6), new ResetRequest(7)];
        Assert.All(early, request => Assert.Equal(ErrorCode.HelloFirst, Assert.IsType<ErrorAnswer>(client.Ask(request)).Code));
        Assert.Equal(0, sponsor.Store.DemanderCount);
        Assert.Equal(early.Length, sponsor.Requests.Refused);
    }

    [Fact]
    public void A_second_hello_is_answered_for_the_same_demander_and_refused_for_another()
    {
        using SponsorUnderTest sponsor = new();
        using RawClient client = new(sponsor);
        Guid demander = Guid.NewGuid();
        HelloAnswer first = Assert.IsType<HelloAnswer>(client.Ask(Hello(1, demander)));
        HelloAnswer second = Assert.IsType<HelloAnswer>(client.Ask(Hello(2, demander)));
        Assert.Equal((first.Sponsor, first.Instance), (second.Sponsor, second.Instance));
        Assert.Equal(ErrorCode.BadRequest, Assert.IsType<ErrorAnswer>(client.Ask(Hello(3))).Code);
        Assert.Equal(1, sponsor.Store.DemanderCount);
        Assert.IsType<HeartbeatAnswer>(client.Ask(new HeartbeatRequest(4)));
    }

    [Fact]
    public void What_is_no_message_is_dropped_counted_and_logged_and_nobody_else_notices()
    {
        using SponsorUnderTest sponsor = new();
        using RawClient good = new(sponsor);
        using RawClient bad = new(sponsor);
        Assert.IsType<HelloAnswer>(good.Ask(Hello()));
        Random random = new(7);
        const int Noises = 500;
        for (int i = 0; i < Noises; i++)
        {
            byte[] noise = new byte[random.Next(200)];
            random.NextBytes(noise);
            bad.Send(noise);
            if (i % 50 == 0)
            {
                Assert.IsType<HeartbeatAnswer>(good.Ask(new HeartbeatRequest((ulong)i)));
            }
        }

        // One message of several frames is one message that is none, whatever its frames are.
        byte[] heartbeat = new HeartbeatRequest(9).Encode();
        bad.Send(heartbeat, heartbeat);
        bad.Send([], heartbeat);
        Assert.IsType<HelloAnswer>(bad.Ask(Hello()));
        Assert.Equal(Noises + 2, sponsor.Control.Dropped);
        int lines = sponsor.Log.Count(line => line.StartsWith("Warning: Dropped", StringComparison.Ordinal));
        Assert.InRange(lines, 1, 60);
    }

    [Fact]
    public void A_flood_of_frames_leaves_others_answered()
    {
        using SponsorUnderTest sponsor = new();
        using RawClient flood = new(sponsor);
        using RawClient good = new(sponsor);
        Assert.IsType<HelloAnswer>(good.Ask(Hello()));
        for (int i = 0; i < 200; i++)
        {
            flood.Send(new HeartbeatRequest((ulong)i));
        }

        Assert.IsType<StatsAnswer>(good.Ask(new StatsRequest(5)));
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal((ulong)i, Assert.IsType<ErrorAnswer>(flood.Receive()).Id);
        }
    }

    [Fact]
    public void Connections_are_bounded_and_known_ones_go_on()
    {
        using SponsorUnderTest sponsor = new(sessionsMax: 2);
        using RawClient first = new(sponsor);
        using RawClient second = new(sponsor);
        using RawClient third = new(sponsor);
        Assert.IsType<HelloAnswer>(first.Ask(Hello()));
        Assert.IsType<HelloAnswer>(second.Ask(Hello()));
        Assert.Equal(ErrorCode.Full, Assert.IsType<ErrorAnswer>(third.Ask(Hello())).Code);
        Assert.Equal(2, sponsor.Store.DemanderCount);
        Assert.IsType<HeartbeatAnswer>(first.Ask(new HeartbeatRequest(2)));
    }

    [Fact]
    public void A_demander_that_falls_silent_loses_its_slabs_and_may_come_back()
    {
        ManualTime time = new();
        using SponsorUnderTest sponsor = new(time: time);
        using RawClient client = new(sponsor);
        Guid demander = Guid.NewGuid();
        Assert.IsType<HelloAnswer>(client.Ask(Hello(1, demander)));
        Assert.IsType<AllocateAnswer>(client.Ask(new AllocateRequest(2, 64 * MiB)));
        time.Advance(SponsorUnderTest.GoneAfter + TimeSpan.FromMilliseconds(1));
        Eventually.True(() => sponsor.Store.LentBytes == 0, "sweep");
        Eventually.True(() => sponsor.Log.Any(line => line.Contains($"{demander} (raw) is gone", StringComparison.Ordinal)), "a log line");
        Assert.Equal(0, sponsor.Store.DemanderCount);
        Assert.Equal(ErrorCode.HelloFirst, Assert.IsType<ErrorAnswer>(client.Ask(new ListRequest(3))).Code);
        Assert.IsType<HelloAnswer>(client.Ask(Hello(4, demander)));
        Assert.Empty(Assert.IsType<ListAnswer>(client.Ask(new ListRequest(5))).Slabs);
    }

    [Fact]
    public void Starting_on_a_port_in_use_fails_and_leaves_nothing_behind()
    {
        using SponsorUnderTest sponsor = new();
        IOException failure = Assert.Throws<IOException>(() => new SponsorUnderTest(port: sponsor.Control.Port));
        Assert.Contains($":{sponsor.Control.Port}", failure.Message, StringComparison.Ordinal);
    }
}
