using Hecatonchire.Transport;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Transport;

/// <summary>What every transport must do, whatever it is made of. A derived class brings a connection to an empty slab.</summary>
public abstract unsafe class DataConnectionContract
{
    /// <summary>The size of the slab that <see cref="Peer.Slab"/> names.</summary>
    protected const uint Slots = 2048;

    /// <summary>A connection with the sponsor behind it.</summary>
    internal abstract class Peer : IDisposable
    {
        public abstract IDataConnection Connection { get; }

        public abstract ulong Slab { get; }

        /// <summary>True when requests take effect in the order they were posted in.</summary>
        public virtual bool IsOrdered => true;

        /// <summary>Ends the sponsor.</summary>
        public abstract void Kill();

        public abstract void Dispose();
    }

    internal abstract Peer Open();

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(17)]
    [InlineData(256)]
    public void A_written_run_reads_back(int pages)
    {
        using Peer peer = Open();
        using PageBuffer written = new(pages);
        using PageBuffer read = new(pages);
        for (int i = 0; i < pages; i++)
        {
            PageBuffer.Fill(written[i], (uint)i, 7);
        }

        Assert.True(peer.Connection.TryPostWrite(1, peer.Slab, Slots - (uint)pages, pages, written.Memory));
        peer.Connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(peer.Connection, 1)[1]);
        Assert.True(peer.Connection.TryPostRead(2, peer.Slab, Slots - (uint)pages, pages, read.Memory));
        peer.Connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(peer.Connection, 1)[2]);
        Assert.True(written.Span(0, pages).SequenceEqual(read.Span(0, pages)));
        Assert.False(peer.Connection.IsBroken);
    }

    [Fact]
    public void A_slot_never_written_reads_as_zeros()
    {
        using Peer peer = Open();
        using PageBuffer read = new(8);
        read.Span(0, 8).Fill(0xFF);
        Assert.True(peer.Connection.TryPostRead(1, peer.Slab, 0, 8, read.Memory));
        peer.Connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(peer.Connection, 1)[1]);
        Assert.False(read.Span(0, 8).ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void Requests_can_be_posted_until_none_is_free_and_are_free_again_after_completion()
    {
        using Peer peer = Open();
        int free = peer.Connection.FreeRequests;
        Assert.InRange(free, 64, 1 << 20);
        using PageBuffer pages = new(free);
        for (int i = 0; i < free; i++)
        {
            PageBuffer.Fill(pages[i], (uint)i, 1);
            Assert.Equal(free - i, peer.Connection.FreeRequests);
            Assert.True(peer.Connection.TryPostWrite((ulong)i, peer.Slab, (uint)i, 1, pages[i]));
        }

        Assert.Equal(0, peer.Connection.FreeRequests);
        Assert.False(peer.Connection.TryPostRead(0, peer.Slab, 0, 1, pages[0]));
        peer.Connection.Submit();
        Assert.All(Completions.Wait(peer.Connection, free).Values, status => Assert.Equal(DataStatus.Done, status));
        Assert.Equal(free, peer.Connection.FreeRequests);

        pages.Span(0, free).Clear();
        for (int i = 0; i < free; i++)
        {
            Assert.True(peer.Connection.TryPostRead((ulong)i, peer.Slab, (uint)i, 1, pages[i]));
        }

        peer.Connection.Submit();
        Assert.All(Completions.Wait(peer.Connection, free).Values, status => Assert.Equal(DataStatus.Done, status));
        for (int i = 0; i < free; i++)
        {
            Assert.True(PageBuffer.Holds(pages[i], (uint)i, 1), $"slot {i}");
        }
    }

    [Fact]
    public void Nothing_happens_before_submit()
    {
        using Peer peer = Open();
        using PageBuffer page = new(1);
        Assert.True(peer.Connection.TryPostRead(1, peer.Slab, 0, 1, page.Memory));
        Assert.Equal(0, peer.Connection.Poll(new DataCompletion[4]));
        peer.Connection.Submit();
        Assert.Single(Completions.Wait(peer.Connection, 1));
    }

    [Fact]
    public void A_poll_with_room_for_few_completions_loses_none()
    {
        using Peer peer = Open();
        using PageBuffer pages = new(40);
        for (int i = 0; i < 40; i++)
        {
            Assert.True(peer.Connection.TryPostRead((ulong)i, peer.Slab, (uint)i, 1, pages[i]));
        }

        peer.Connection.Submit();
        Assert.Equal(0, peer.Connection.Poll([]));
        Assert.Equal(40, Completions.Wait(peer.Connection, 40, atOnce: 3).Count);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(257)]
    [InlineData(65536 + 1)]
    public void A_run_of_an_impossible_length_is_not_posted(int pages)
    {
        using Peer peer = Open();
        using PageBuffer page = new(1);
        Assert.False(peer.Connection.TryPostRead(1, peer.Slab, 0, pages, page.Memory));
        Assert.False(peer.Connection.TryPostWrite(1, peer.Slab, 0, pages, page.Memory));
    }

    [Theory]
    [InlineData(Slots, 1, false)]
    [InlineData(Slots - 1, 2, false)]
    [InlineData(Slots - 255, 256, false)]
    [InlineData(uint.MaxValue, 1, false)]
    [InlineData(uint.MaxValue - 254, 256, false)]
    [InlineData(0, 1, true)]
    public void What_is_not_there_is_refused_and_ends_the_connection(uint slot, int pages, bool otherSlab)
    {
        foreach (bool write in (ReadOnlySpan<bool>)[false, true])
        {
            using Peer peer = Open();
            using PageBuffer buffer = new(256);
            ulong slab = otherSlab ? peer.Slab + 1000 : peer.Slab;
            Assert.True(peer.Connection.TryPostRead(1, peer.Slab, 0, 1, buffer.Memory));
            Assert.True(write
                ? peer.Connection.TryPostWrite(2, slab, slot, pages, buffer.Memory)
                : peer.Connection.TryPostRead(2, slab, slot, pages, buffer.Memory));
            for (ulong i = 3; i < 10; i++)
            {
                Assert.True(peer.Connection.TryPostRead(i, peer.Slab, 0, 1, buffer.Memory));
            }

            peer.Connection.Submit();
            Dictionary<ulong, DataStatus> ended = Completions.Wait(peer.Connection, 9);
            Assert.Equal(DataStatus.Refused, ended[2]);
            Assert.True(peer.Connection.IsBroken);
            if (peer.IsOrdered)
            {
                Assert.Equal(DataStatus.Done, ended[1]);
                Assert.All(Enumerable.Range(3, 7), i => Assert.Equal(DataStatus.Disconnected, ended[(ulong)i]));
            }

            Assert.Equal(0, peer.Connection.FreeRequests);
            Assert.False(peer.Connection.TryPostRead(99, peer.Slab, 0, 1, buffer.Memory));
        }
    }

    [Fact]
    public void When_the_sponsor_dies_everything_in_flight_is_disconnected()
    {
        using Peer peer = Open();
        using PageBuffer pages = new(100);
        for (int i = 0; i < 100; i++)
        {
            Assert.True(peer.Connection.TryPostWrite((ulong)i, peer.Slab, (uint)i, 1, pages[i]));
        }

        peer.Kill();
        peer.Connection.Submit();
        Dictionary<ulong, DataStatus> ended = Completions.Wait(peer.Connection, 100);
        Assert.All(ended.Values, status => Assert.Equal(DataStatus.Disconnected, status));
        Assert.True(peer.Connection.IsBroken);
        Assert.Equal(0, peer.Connection.FreeRequests);
        Assert.Equal(0, peer.Connection.Poll(new DataCompletion[8]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_random_mix_of_reads_and_writes_fits_the_model(int seed)
    {
        using Peer peer = Open();
        new RandomWorkload(peer.Connection, peer.Slab, Slots, seed).Run(requests: 4000, runPagesMax: 16);
    }

    [Fact]
    public void Reading_and_writing_allocate_nothing()
    {
        using Peer peer = Open();
        using PageBuffer pages = new(4);
        _ = PingPong(peer, pages, 2000);
        Assert.Equal(0, Allocations.Least(() => PingPong(peer, pages, 50_000)));
    }

    private static long PingPong(Peer peer, PageBuffer pages, int count)
    {
        Span<DataCompletion> completions = stackalloc DataCompletion[8];
        IDataConnection connection = peer.Connection;
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < count; i += 4)
        {
            bool posted = true;
            for (int k = 0; k < 4; k++)
            {
                // Slots in use do not overlap; now and then one is a WRITE.
                posted &= k == 3 && i % 64 == 0
                    ? connection.TryPostWrite((ulong)k, peer.Slab, (uint)(i + k) % Slots, 1, pages[k])
                    : connection.TryPostRead((ulong)k, peer.Slab, (uint)(i + k) % Slots, 1, pages[k]);
            }

            connection.Submit();
            for (int done = 0; done < 4 && !connection.IsBroken;)
            {
                int taken = connection.Poll(completions);
                done += taken;
                if (taken == 0)
                {
                    Completions.WaitForWork(connection);
                }
            }

            if (!posted || connection.IsBroken)
            {
                return -1;
            }
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
