using System.Diagnostics;
using System.Net;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Tests.Transport;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Hecatonchire.Tests.Serving;

public sealed unsafe class DataServerTests
{
    [Fact]
    public void Serving_allocates_nothing()
    {
        using ServerUnderTest server = new();
        using TcpDataConnection connection = server.Connect();
        using PageBuffer pages = new(64);
        Run(connection, server.Slab, pages, 4000);
        long before = AllocatedByTheServingThread(server);
        Run(connection, server.Slab, pages, 100_000);
        long after = AllocatedByTheServingThread(server);

        // What the sampling itself costs there, measured the same way.
        long sampling = AllocatedByTheServingThread(server) - after;
        Assert.Equal(sampling, after - before);
        Assert.InRange(sampling, 0, 1000);
    }

    private static long AllocatedByTheServingThread(ServerUnderTest server)
    {
        long bytes = 0;
        server.Server.RunBetweenRequests(() => bytes = GC.GetAllocatedBytesForCurrentThread());
        return bytes;
    }

    private static void Run(TcpDataConnection connection, ulong slab, PageBuffer pages, int requests)
    {
        DataCompletion[] completions = new DataCompletion[64];
        for (int i = 0; i < requests; i += 8)
        {
            for (int k = 0; k < 8; k++)
            {
                int run = k == 7 ? 8 : 1;
                Assert.True(k % 2 == 0
                    ? connection.TryPostRead((ulong)k, slab, (uint)(k * 8), run, pages[k * 8])
                    : connection.TryPostWrite((ulong)k, slab, (uint)(k * 8), run, pages[k * 8]));
            }

            connection.Submit();
            for (int done = 0; done < 8;)
            {
                Assert.False(connection.IsBroken);
                int taken = connection.Poll(completions);
                done += taken;
                if (taken == 0)
                {
                    Completions.WaitForWork(connection);
                }
            }
        }
    }

    [Fact]
    public void Counters_count()
    {
        using ServerUnderTest server = new();
        using (TcpDataConnection connection = server.Connect())
        {
            using PageBuffer pages = new(32);
            Assert.True(connection.TryPostWrite(1, server.Slab, 0, 20, pages.Memory));
            Assert.True(connection.TryPostRead(2, server.Slab, 100, 3, pages.Memory));
            Assert.True(connection.TryPostRead(3, server.Slab, 200, 4, pages.Memory));
            connection.Submit();
            _ = Completions.Wait(connection, 3);
            DataServerCounters counters = server.Server.Counters;
            Assert.Equal((3, 7, 20, 1, 1), (counters.Requests, counters.PagesRead, counters.PagesWritten, counters.ConnectionsOpen, server.Directory.Connections));
        }

        server.WaitFor(counters => counters.ConnectionsOpen == 0, "closing");
        Assert.Equal(0, server.Directory.Connections);
        Assert.Equal(0, server.Server.Counters.RefusedInAll());
    }

    [Fact]
    public void An_idle_server_uses_no_cpu()
    {
        using ServerUnderTest server = new();
        using TcpDataConnection connection = server.Connect();
        using PageBuffer page = new(1);
        Assert.True(connection.TryPostRead(1, server.Slab, 0, 1, page.Memory));
        connection.Submit();
        _ = Completions.Wait(connection, 1);

        // Asleep, and it stays so: a thread that blocks switches voluntarily, a thread that spins does not stop running.
        int thread = 0;
        server.Server.RunBetweenRequests(() => thread = Interop.Libc.ThreadId());
        long started = Stopwatch.GetTimestamp();
        while (File.ReadAllText($"/proc/self/task/{thread}/stat").Split(") ")[1][0] != 'S')
        {
            Assert.True(Stopwatch.GetElapsedTime(started).TotalSeconds < 10, "the serving thread does not go to sleep");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1000)]
    public void Many_connections_at_once_are_all_served(int spinMicroseconds)
    {
        using ServerUnderTest server = new(new DataServerOptions { SpinMicroseconds = spinMicroseconds });
        Verifier[] verifiers = [.. Enumerable.Range(0, 8).Select(i => new Verifier(server, seed: i))];
        foreach (Verifier verifier in verifiers)
        {
            verifier.Finish();
        }
    }

    [Fact]
    public void A_reader_that_does_not_read_holds_up_nobody_and_gets_everything_later()
    {
        using ServerUnderTest server = new();
        Verifier verifier = new(server);
        using RawPeer slow = new RawPeer(server).Welcomed(server);
        const int Requests = 2000;
        byte[] requests = [.. Enumerable.Range(0, Requests).SelectMany(i => RawPeer.Request(1, server.Slab, 0, 64, id: (ulong)i))];
        slow.Send(requests);

        // 500 MiB of answers do not fit anywhere: the server stops taking requests of this peer.
        server.WaitFor(counters => counters.Requests > 10, "the first answers");
        verifier.Finish();
        for (int i = 0; i < Requests; i++)
        {
            byte[] answer = slow.Receive(32 + (64 * 4096));
            Assert.Equal(32 + (64 * 4096), answer.Length);
            Assert.Equal((ulong)i, BitConverter.ToUInt64(answer, 24));
        }

        Assert.Equal(0, server.Server.Counters.RefusedInAll());
    }

    [Fact]
    public void A_slab_that_is_taken_away_ends_what_was_using_it_and_nothing_else()
    {
        using ServerUnderTest server = new();
        Verifier verifier = new(server);
        int demander = server.Demander;
        ulong slab = 0;
        server.Server.RunBetweenRequests(() => slab = server.Directory.AddSlab(demander, 4096));

        // One in the middle of a WRITE, one with answers that wait for room in its socket, one at rest.
        using RawPeer writing = new RawPeer(server).Welcomed(server);
        writing.Send(RawPeer.Request(2, slab, 0, 256).AsSpan(0, 100_000));
        using RawPeer reading = new RawPeer(server).Welcomed(server);
        reading.Send([.. Enumerable.Range(0, 200).SelectMany(i => RawPeer.Request(1, slab, 0, 256))]);
        using TcpDataConnection resting = server.Connect();
        long before = -1;
        server.WaitFor(
            counters =>
            {
                long now = Volatile.Read(ref counters.PagesRead);
                bool held = counters.Requests > 2 && now == before;
                before = now;
                return held;
            },
            "the reader held back");
        server.Server.RunBetweenRequests(() => server.Directory.RemoveSlab(demander, slab));
        server.WaitFor(counters => counters.Refused(RefusalReason.SlabRetired) >= 1, "retired");
        _ = writing.ReceiveToEnd();
        _ = reading.ReceiveToEnd();

        using PageBuffer page = new(1);
        Assert.True(resting.TryPostRead(1, server.Slab, 0, 1, page.Memory));
        resting.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(resting, 1)[1]);
        Assert.True(resting.TryPostRead(2, slab, 0, 1, page.Memory));
        resting.Submit();
        Assert.Equal(DataStatus.Refused, Completions.Wait(resting, 1)[2]);
        verifier.Finish();
    }

    [Fact]
    public void Actions_run_on_the_serving_thread_and_inline_without_one()
    {
        using TestSlabDirectory directory = new();
        DataServer server = new(
            new IPEndPoint(IPAddress.Loopback, 0), Guid.NewGuid(), directory, new DataServerOptions(), NullLogger<DataServer>.Instance);
        string? name = null;
        server.RunBetweenRequests(() => name = Thread.CurrentThread.Name);
        Assert.NotEqual("heca-data", name);
        server.Start();
        server.RunBetweenRequests(() => name = Thread.CurrentThread.Name);
        Assert.Equal("heca-data", name);
        server.RunBetweenRequests(() => server.RunBetweenRequests(() => name = "nested"));
        Assert.Equal("nested", name);
        Assert.Throws<InvalidOperationException>(() => server.RunBetweenRequests(() => throw new InvalidOperationException()));
        server.Dispose();
        server.RunBetweenRequests(() => name = Thread.CurrentThread.Name);
        Assert.NotEqual("heca-data", name);
    }

    [Fact]
    public void A_port_in_use_is_one_line()
    {
        using ServerUnderTest server = new();
        using DataServer second = new(
            server.Address, Guid.NewGuid(), server.Directory, new DataServerOptions(), NullLogger<DataServer>.Instance);
        IOException failure = Assert.Throws<IOException>(second.Start);
        Assert.Contains(server.Address.ToString(), failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_stopping_server_ends_connections_and_says_so_to_newcomers()
    {
        ServerUnderTest server = new();
        using TcpDataConnection welcomed = server.Connect();
        using RawPeer newcomer = new(server);
        server.WaitFor(counters => counters.ConnectionsAccepted == 2, "accepting");
        server.Dispose();
        Completions.WaitUntilBroken(welcomed);
        byte[] answer = newcomer.ReceiveToEnd();
        Assert.Equal(64, answer.Length);
        Assert.Equal(6, answer[8]);
    }
}
