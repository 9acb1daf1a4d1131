using System.Text;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Sealing;
using Hecatonchire.Transport.Spill;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>What is on the disk is noise to others; and what the disk returns is what was written, or is told to be lost.</summary>
public sealed unsafe class SpillSealTests : IDisposable
{
    private const uint Slots = 64;
    private readonly SpillPeer _peer = new(Slots, SpillConnection.ThreadsDefault);
    private readonly RawSpill _raw;

    public SpillSealTests() => _raw = new RawSpill(_peer.File);

    public void Dispose()
    {
        _raw.Dispose();
        _peer.Dispose();
    }

    [Fact]
    public void Nothing_of_a_page_is_in_the_file_in_clear()
    {
        using PageBuffer pages = new((int)Slots);
        byte[] secret = Encoding.ASCII.GetBytes("a secret, again ");
        for (int i = 0; i < PageSize.Bytes * (int)Slots; i++)
        {
            pages.Memory[i] = secret[i % secret.Length];
        }

        Write(0, (int)Slots, pages.Memory);
        byte[] sealedPages = _raw.Read(_peer.Slab, 0, (int)Slots);
        Assert.Equal(-1, sealedPages.AsSpan().IndexOf(secret.AsSpan(0, 8)));
        Assert.Equal(Slots, (uint)sealedPages.Chunk(PageSize.Bytes).Select(Convert.ToHexString).Distinct().Count());

        // The same again is other noise: nobody learns that nothing has changed.
        Write(0, (int)Slots, pages.Memory);
        Assert.All(
            sealedPages.Chunk(PageSize.Bytes).Zip(_raw.Read(_peer.Slab, 0, (int)Slots).Chunk(PageSize.Bytes)),
            both => Assert.NotEqual(both.First, both.Second));
        Assert.Equal(DataStatus.Done, Read(3, 1, pages[3]));
        Assert.True(pages.Span(3, 1).SequenceEqual(pages.Span(4, 1)));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(17_000)]
    [InlineData((PageSize.Bytes * 8) - 1)]
    public void A_flipped_bit_is_the_loss_of_that_page_and_no_other(int bit)
    {
        using PageBuffer pages = WriteSlots();
        _raw.Flip(_peer.Slab, 7, bit);
        for (int again = 0; again < 3; again++)
        {
            Assert.Equal(DataStatus.Lost, Read(7, 1, pages.Memory));
            Assert.Equal(DataStatus.Lost, Read(0, 16, pages.Memory));
        }

        Assert.Equal(1, _peer.File.PagesLost);
        AssertHolds(0, 7);
        AssertHolds(8, 56);
        Assert.False(_peer.Connection.IsBroken);

        // Written again it is whole.
        PageBuffer.Fill(pages.Memory, 7, 1);
        Write(7, 1, pages.Memory);
        AssertHolds(0, 64);
        Assert.Equal(1, _peer.File.PagesLost);
    }

    [Fact]
    public void A_page_in_anothers_place_is_lost()
    {
        using PageBuffer pages = WriteSlots();
        _raw.Write(_peer.Slab, 9, _raw.Read(_peer.Slab, 5, 1));
        Assert.Equal(DataStatus.Lost, Read(9, 1, pages.Memory));
        AssertHolds(5, 1);
        Assert.Equal(1, _peer.File.PagesLost);
    }

    [Fact]
    public void An_old_page_put_back_is_lost()
    {
        using PageBuffer pages = WriteSlots();
        byte[] old = _raw.Read(_peer.Slab, 5, 1);
        Write(5, 1, pages[5]);
        _raw.Write(_peer.Slab, 5, old);
        Assert.Equal(DataStatus.Lost, Read(5, 1, pages.Memory));
    }

    [Fact]
    public void What_a_file_that_was_cut_short_had_is_lost()
    {
        using PageBuffer pages = WriteSlots();
        _raw.Cut(RawSpill.OffsetOf(_peer.File, _peer.Slab) + (10 << PageSize.Shift));
        Assert.Equal(DataStatus.Lost, Read(0, 64, pages.Memory));
        AssertHolds(0, 10);
        Assert.Equal(54, _peer.File.PagesLost);
    }

    [Fact]
    public void A_slab_holds_nothing_of_the_one_that_was_there_before()
    {
        using PageBuffer pages = WriteSlots();
        ulong before = _peer.Slab;
        long offset = RawSpill.OffsetOf(_peer.File, before);
        byte[] old = _raw.Read(before, 0, 1);
        Assert.True(_peer.File.Free(before));
        Assert.Equal(0, _peer.File.TryAllocate(Slots << PageSize.Shift, out ulong after));
        Assert.NotEqual(before, after);
        Assert.Equal(offset, RawSpill.OffsetOf(_peer.File, after));
        Assert.DoesNotContain(_raw.Read(after, 0, (int)Slots), value => value != 0);

        // Not even where the disk forgets that it was to forget.
        _raw.Write(after, 0, old);
        pages.Span(0, 1).Fill(0xFF);
        Assert.Equal(DataStatus.Done, Read(0, 1, pages.Memory, after));
        Assert.False(pages.Span(0, 1).ContainsAnyExcept((byte)0));

        // The same page at the same place in the same version: sealed as another.
        PageBuffer.Fill(pages.Memory, 0, 1);
        Write(0, 1, pages.Memory, after);
        Assert.NotEqual(old, _raw.Read(after, 0, 1));
        _raw.Write(after, 0, old);
        Assert.Equal(DataStatus.Lost, Read(0, 1, pages.Memory, after));
    }

    [Fact]
    public void A_run_may_be_written_in_part()
    {
        using PageBuffer pages = new(8);
        PageBuffer.Fill(pages[0], 3, 1);
        PageBuffer.Fill(pages[1], 4, 1);
        Write(3, 2, pages.Memory);
        pages.Span(0, 8).Fill(0xFF);
        Assert.Equal(DataStatus.Done, Read(0, 8, pages.Memory));
        for (uint i = 0; i < 8; i++)
        {
            Assert.True(PageBuffer.Holds(pages[(int)i], i, i is 3 or 4 ? 1u : 0u), $"slot {i}");
        }
    }

    [Fact]
    public void Sealing_and_opening_allocate_nothing()
    {
        using PageSeal seal = _peer.File.NewSeal();
        using PageBuffer pages = new(2);
        byte* tag = stackalloc byte[PageSeal.TagBytes];
        _ = SealAndOpen(seal, pages, tag, 100);
        Assert.Equal(0, Allocations.Least(() => SealAndOpen(seal, pages, tag, 10_000)));
    }

    private static long SealAndOpen(PageSeal seal, PageBuffer pages, byte* tag, int count)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < count; i++)
        {
            seal.Seal(1, 2, (ulong)i + 1, pages[0], pages[1], tag);
            if (!seal.TryOpen(1, 2, (ulong)i + 1, pages[1], tag, pages[0]))
            {
                return -1;
            }
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;
    }

    /// <summary>Every slot in its first version.</summary>
    private PageBuffer WriteSlots()
    {
        PageBuffer pages = new((int)Slots);
        for (uint i = 0; i < Slots; i++)
        {
            PageBuffer.Fill(pages[(int)i], i, 1);
        }

        Write(0, (int)Slots, pages.Memory);
        return pages;
    }

    private void AssertHolds(uint slot, int pages)
    {
        using PageBuffer read = new(pages);
        Assert.Equal(DataStatus.Done, Read(slot, pages, read.Memory));
        for (int i = 0; i < pages; i++)
        {
            Assert.True(PageBuffer.Holds(read[i], slot + (uint)i, 1), $"slot {slot + i}");
        }
    }

    private void Write(uint slot, int pages, byte* from, ulong? slab = null)
    {
        Assert.True(_peer.Connection.TryPostWrite(1, slab ?? _peer.Slab, slot, pages, from));
        _peer.Connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(_peer.Connection, 1)[1]);
    }

    private DataStatus Read(uint slot, int pages, byte* into, ulong? slab = null)
    {
        Assert.True(_peer.Connection.TryPostRead(1, slab ?? _peer.Slab, slot, pages, into));
        _peer.Connection.Submit();
        return Completions.Wait(_peer.Connection, 1)[1];
    }
}
