using System.Diagnostics;
using Hecatonchire.Interop;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Spill;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>Nobody sleeps through what there is to do: neither who waits for an end, nor a thread that has nothing to do.</summary>
public sealed unsafe class SpillWaitTests
{
    [Fact]
    public void Who_is_about_to_wait_learns_what_has_ended_before()
    {
        using SpillPeer peer = new(64, threads: 1);
        using PageBuffer page = new(1);
        SpillConnection connection = peer.Spill;
        Assert.True(connection.PrepareToWait());
        Assert.False(IsReadable(connection, timeoutMs: 0));
        for (ulong i = 0; i < 100; i++)
        {
            Assert.True(connection.TryPostRead(i, peer.Slab, 0, 1, page.Memory));
            connection.Submit();
            long started = Stopwatch.GetTimestamp();
            while (connection.PrepareToWait())
            {
                Assert.True(Stopwatch.GetElapsedTime(started).TotalSeconds < 20, "it has ended, and PrepareToWait does not say so");
            }

            Assert.Single(Completions.Wait(connection, 1));
        }
    }

    [Fact]
    public void Who_waits_is_woken_and_not_again_for_what_it_has_taken()
    {
        using SpillPeer peer = new(64, threads: 1);
        using PageBuffer page = new(1);
        SpillConnection connection = peer.Spill;
        DataCompletion[] ended = new DataCompletion[4];
        int woken = 0;
        for (ulong i = 0; i < 200; i++)
        {
            Assert.True(connection.TryPostWrite(i, peer.Slab, 0, 1, page.Memory));
            connection.Submit();
            bool waits = connection.PrepareToWait();
            if (waits)
            {
                woken++;
                Assert.True(IsReadable(connection, timeoutMs: 20_000), "not woken");
            }

            Assert.Equal(1, connection.Poll(ended));

            // Where it did not wait after all, the signal may be on its way yet.
            Assert.False(waits && IsReadable(connection, timeoutMs: 0), "woken for nothing");
            _ = connection.Poll(ended);
        }

        Assert.NotEqual(0, woken);
    }

    /// <summary>Requests come at every moment of a thread's way to sleep; one that is missed is never carried out.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void A_thread_does_not_fall_asleep_over_a_request(int threads)
    {
        using SpillPeer peer = new(64, threads);
        using PageBuffer page = new(1);
        SpillConnection connection = peer.Spill;
        DataCompletion[] ended = new DataCompletion[1];
        for (int i = 0; i < 200_000; i++)
        {
            Assert.True(connection.TryPostRead(1, peer.Slab, 0, 1, page.Memory));
            connection.Submit();
            long started = Stopwatch.GetTimestamp();
            while (connection.Poll(ended) == 0)
            {
                Assert.True(Stopwatch.GetElapsedTime(started).TotalSeconds < 20, $"request {i} was slept over");
            }

            Thread.SpinWait(i % 40);
        }
    }

    private static bool IsReadable(SpillConnection connection, int timeoutMs)
    {
        PollDescriptor wait = new() { Descriptor = connection.WaitDescriptor, Events = (short)connection.WaitEvents };
        return Libc.Poll(&wait, 1, timeoutMs) > 0;
    }
}
