using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Xunit;

namespace Hecatonchire.Tests.Serving;

/// <summary>How the serving thread is shared: the rule, without time; and that whatever it cuts short comes out whole.</summary>
public sealed unsafe class FairRoundsTests
{
    private const long Page = 4096;

    [Fact]
    public void Who_is_alone_is_not_bounded()
    {
        FairRounds rounds = new();
        ServingShare share = new();
        rounds.NoteConnection(share, 1);
        rounds.NoteConnection(share, 1);
        Assert.Equal(FairRounds.Unbounded, rounds.CreditOf(share));
        rounds.Charge(share, FairRounds.Unbounded, 1 << 30);
        Assert.Equal(0, rounds.Moved);
        ServingShare other = new();
        rounds.NoteConnection(other, 1);
        rounds.Next();
        Assert.InRange(rounds.CreditOf(share), 1, FairRounds.RoundBytes);
        rounds.NoteConnection(other, -1);
        Assert.Equal((1, FairRounds.Unbounded), (rounds.Open, rounds.CreditOf(share)));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 3)]
    [InlineData(7, 100)]
    public void Those_who_always_want_more_get_what_their_weights_say_however_many_connections_they_have(int light, int heavy)
    {
        FairRounds rounds = new();
        ServingShare[] shares = [new() { Weight = light }, new() { Weight = heavy }];
        long[] moved = new long[2];
        rounds.NoteConnection(shares[0], 1);
        for (int i = 0; i < 40; i++)
        {
            rounds.NoteConnection(shares[1], 1);
        }

        var random = new Random(light * 1000 + heavy);
        for (int round = 0; round < 20_000; round++)
        {
            rounds.Next();
            for (int who = 0; who < 2; who++)
            {
                // One frame too many at most, as connections do.
                for (long credit; (credit = rounds.CreditOf(shares[who])) > 0;)
                {
                    long bytes = Math.Min(credit, random.Next(1, 65) * Page) + random.Next((int)Page);
                    rounds.Charge(shares[who], credit, bytes);
                    moved[who] += bytes;
                }
            }

            // Nobody waits for more than this.
            Assert.InRange(rounds.Moved, 0, FairRounds.RoundBytes + (2 * Page));
            rounds.TakeMoved();
        }

        Assert.InRange((double)moved[1] / moved[0] / ((double)heavy / light), 0.98, 1.02);
    }

    [Fact]
    public void What_is_not_used_is_not_saved_up_and_what_was_too_much_is_paid_back()
    {
        FairRounds rounds = new();
        ServingShare idle = new(), busy = new();
        rounds.NoteConnection(idle, 1);
        rounds.NoteConnection(busy, 1);
        long part = FairRounds.RoundBytes / 2;
        for (int i = 0; i < 100; i++)
        {
            rounds.Next();
        }

        Assert.Equal(part, rounds.CreditOf(idle));
        rounds.Charge(busy, rounds.CreditOf(busy), 3 * part);
        rounds.Next();
        Assert.Equal(-part, rounds.CreditOf(busy));
        rounds.Next();
        Assert.Equal(0, rounds.CreditOf(busy));
        rounds.Next();
        Assert.Equal(part, rounds.CreditOf(busy));
    }

    [Fact]
    public void Whatever_is_cut_short_comes_out_whole()
    {
        using ServerUnderTest server = new();
        List<Thread> threads = [];
        List<Exception> failures = [];
        int verified = 0;
        for (int i = 0; i < 4; i++)
        {
            int seed = i, demander = server.Directory.NewDemander();
            ulong slab = 0;
            server.Server.RunBetweenRequests(() => slab = server.Directory.AddSlab(demander, 1024));
            server.Directory.ShareOf(new DemanderHandle(demander)).Weight = 1 + (99 * (i % 2));
            threads.Add(new Thread(() =>
            {
                try
                {
                    using TcpDataConnection connection = server.Connect(demander);

                    // The first two want runs as long as requests may be, the others single pages.
                    Interlocked.Add(ref verified, new RandomWorkload(connection, slab, 1024, seed).Run(requests: seed < 2 ? 300 : 600, runPagesMax: seed < 2 ? 256 : 2));
                }
#pragma warning disable CA1031 // shown below
                catch (Exception failure)
#pragma warning restore CA1031
                {
                    lock (failures)
                    {
                        failures.Add(failure);
                    }
                }
            }));
        }

        threads.ForEach(thread => thread.Start());
        threads.ForEach(thread => thread.Join());
        Assert.Empty(failures);
        Assert.Equal(1800, verified);
        server.WaitFor(counters => counters.ConnectionsOpen == 0, "closing all");
    }

    [Fact]
    public void One_demander_does_not_take_every_connection()
    {
        using ServerUnderTest server = new(new DataServerOptions { ConnectionsMax = 4, ConnectionsPerShareMax = 2 });
        using TcpDataConnection first = server.Connect(), second = server.Connect();
        Assert.Equal(DataConnectionFailure.Busy, Assert.Throws<DataConnectionException>(() => server.Connect()).Failure);
        Verifier other = new(server);
        other.Finish();
    }
}
