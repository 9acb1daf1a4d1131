using System.Diagnostics;
using System.Net;
using Hecatonchire.Control;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Processes;
using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Xunit;

namespace Hecatonchire.Tests.Serving;

/// <summary>
/// What a demander that asks for a page at a time notices of one that wants all it can get, over 8 connections with runs of 256 pages. Not a test, and run only when asked for:
/// <c>Sponsor.Tests -class "*FairnessFigures" -explicit only -showLiveOutput</c>, on a host that does nothing else.
/// </summary>
public sealed unsafe class FairnessFigures
{
    private const int Reads = 5_000, ReadsUnfair = 500, GreedyConnections = 8;
    private const long SlabBytes = 64L << 20;

    [Fact(Explicit = true)]
    public void The_99th_percentile_of_a_quiet_demander_alone_and_beside_a_greedy_one()
    {
        string keys = Directory.CreateTempSubdirectory("heca-fair-").FullName;
        try
        {
            using SponsorProcess sponsor = SponsorProcess.StartAnnounced(keys);
            using SponsorClient quiet = Connect(sponsor), greedy = Connect(sponsor);
            _ = Measure(sponsor, quiet, null);
            double alone = Measure(sponsor, quiet, null);
            double fair = Measure(sponsor, quiet, greedy);

            // As one demander they have one share: what it was before there were any.
            double unfair = Measure(sponsor, quiet, quiet);
            Say($"p99 alone {alone:0} us; beside a greedy demander {fair:0} us, {fair / alone:0.0} times; beside as much of its own {unfair:0} us, {unfair / alone:0.0} times");
        }
        finally
        {
            Directory.Delete(keys, recursive: true);
        }
    }

    private static double Measure(SponsorProcess sponsor, SponsorClient quiet, SponsorClient? greedy)
    {
        ulong slab = quiet.AllocateSlab(SlabBytes).Slab, large = greedy?.AllocateSlab(SlabBytes).Slab ?? 0;
        bool stop = false;
        long pages = 0;
        long began = Stopwatch.GetTimestamp();
        Thread? other = greedy is null ? null : new Thread(() => Volatile.Write(ref pages, Greed(sponsor, greedy, large, ref stop)));
        other?.Start();
        int reads = ReferenceEquals(quiet, greedy) ? ReadsUnfair : Reads;
        double[] times = new double[reads];
        using (TcpDataConnection connection = Open(sponsor, quiet))
        using (PageBuffer page = new(1))
        {
            DataCompletion[] ended = new DataCompletion[1];
            for (int i = 0; i < reads; i++)
            {
                long start = Stopwatch.GetTimestamp();
                Assert.True(connection.TryPostRead(1, slab, (uint)(i % 16384), 1, page.Memory));
                connection.Submit();
                while (connection.Poll(ended) == 0)
                {
                    _ = Libc.Yield();
                }

                Assert.Equal(DataStatus.Done, ended[0].Status);
                times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            }
        }

        Volatile.Write(ref stop, true);
        other?.Join();
        quiet.FreeSlab(slab);
        greedy?.FreeSlab(large);
        Array.Sort(times);
        Say($"{(greedy is null ? "alone" : ReferenceEquals(greedy, quiet) ? "beside its own" : "beside another")}: p50 {times[reads / 2]:0.0} us, p99 {times[reads * 99 / 100]:0} us, p99.9 {times[reads * 999 / 1000]:0} us; the other had {pages / Stopwatch.GetElapsedTime(began).TotalSeconds:0} pages/s");
        return times[reads * 99 / 100];
    }

    private static long Greed(SponsorProcess sponsor, SponsorClient client, ulong slab, ref bool stop)
    {
        const int Run = 256, Depth = 8;
        long pages = 0;
        TcpDataConnection[] connections = [.. Enumerable.Range(0, GreedyConnections).Select(_ => Open(sponsor, client))];
        int[] flying = new int[GreedyConnections];
        using PageBuffer buffer = new(Run);
        DataCompletion[] ended = new DataCompletion[Depth];
        while (!Volatile.Read(ref stop))
        {
            for (int i = 0; i < GreedyConnections; i++)
            {
                // What comes is thrown away: all into one place.
                for (; flying[i] < Depth; flying[i]++)
                {
                    Assert.True(connections[i].TryPostRead(1, slab, (uint)(pages % 16000 / Run * Run), Run, buffer.Memory));
                }

                connections[i].Submit();
                int done = connections[i].Poll(ended);
                flying[i] -= done;
                pages += done * Run;
            }
        }

        Array.ForEach(connections, connection => connection.Dispose());
        return pages;
    }

    private static SponsorClient Connect(SponsorProcess sponsor) =>
        SponsorClient.Connect("127.0.0.1", sponsor.ControlPort, sponsor.PublicKey, Guid.NewGuid(), "figures", TimeSpan.FromSeconds(20));

    private static TcpDataConnection Open(SponsorProcess sponsor, SponsorClient client) => TcpDataConnection.Connect(
        new IPEndPoint(IPAddress.Loopback, sponsor.DataPort), client.Demander, client.RequestToken().Token, TimeSpan.FromSeconds(20));

    private static void Say(string line) => TestContext.Current.TestOutputHelper?.WriteLine(line);
}
