using System.Runtime.CompilerServices;
using Hecatonchire.Native;
using Xunit;

namespace Hecatonchire.Tests;

public sealed class SponsoredMemoryTests(MinipagerFixture pager) : IClassFixture<MinipagerFixture>
{
    private const int PageBytes = 4096;

    private struct Odd
    {
        public long A;
        public int B;
        public byte C;
    }

    [Fact]
    public void Elements_keep_their_values_while_pages_come_and_go()
    {
        pager.SkipUnlessListening();
        using SponsoredMemory<Odd> memory = SponsoredMemory<Odd>.Allocate(100_000);
        for (long i = 0; i < memory.Length; i++)
        {
            memory[i] = new Odd { A = i, B = (int)-i, C = (byte)i };
        }

        for (long i = memory.Length - 1; i >= 0; i--)
        {
            Odd found = memory[i];
            Assert.True(found.A == i && found.B == -i && found.C == (byte)i, $"element {i}");
        }

        SponsoredMemoryStatistics statistics = SponsoredMemoryStatistics.Read();
        Assert.True(statistics.PagesOut > 0 && statistics.Faults > 0, "no page left: nothing was tested");
    }

    [Fact]
    public void Bounds_are_checked()
    {
        pager.SkipUnlessListening();
        using SponsoredMemory<int> memory = SponsoredMemory<int>.Allocate(1000);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory[-1]);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory[1000]);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory[long.MinValue]);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Slice(1, 1000).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Slice(-1, 1).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Slice(0, -1).Length);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Advise(999, long.MaxValue, SponsoredMemoryAdvice.Random));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Advise(0, 1, (SponsoredMemoryAdvice)6));
        Assert.Throws<ArgumentOutOfRangeException>(() => SponsoredMemory<int>.Allocate(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => SponsoredMemory<int>.Allocate(long.MaxValue / 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Resize(0));
        Assert.Equal(0, memory.Slice(1000, 0).Length);
        memory.Advise(1000, 0, SponsoredMemoryAdvice.DontNeed);
    }

    [Fact]
    public unsafe void Resizing_keeps_the_address_and_the_elements()
    {
        pager.SkipUnlessListening();
        using SponsoredMemory<long> memory = SponsoredMemory<long>.Allocate(512, reserve: 512 * 1000);
        long* address = memory.Pointer;
        memory[511] = 7;
        memory.Resize(512 * 1000);
        Assert.Equal((nint)address, (nint)memory.Pointer);
        Assert.Equal(512 * 1000, memory.Length);
        Assert.Equal(7, memory[511]);
        Assert.Equal(0, memory[512 * 1000 - 1]);
        memory[512 * 500] = 9;
        memory.Resize(512 * 2);
        Assert.Equal("index", Assert.Throws<ArgumentOutOfRangeException>(() => memory[512 * 2]).ParamName);
        memory.Resize(512 * 600);
        Assert.Equal(0, memory[512 * 500]);
        Assert.Equal(7, memory[511]);

        SponsoredMemoryException refused = Assert.Throws<SponsoredMemoryException>(() => memory.Resize(512 * 1001));
        Assert.Equal(HecaErrno.ENOMEM, refused.Errno);
        Assert.Equal(512 * 600, memory.Length);
    }

    [Fact]
    public void Advice_reaches_whole_pages()
    {
        pager.SkipUnlessListening();
        using SponsoredMemory<byte> memory = SponsoredMemory<byte>.Allocate(4 * PageBytes);
        memory.Slice(0, 4 * PageBytes).Fill(1);
        memory.Advise(1, 3 * PageBytes, SponsoredMemoryAdvice.DontNeed);
        Assert.Equal(1, memory[0]);
        Assert.Equal(0, memory[PageBytes]);
        Assert.Equal(0, memory[3 * PageBytes - 1]);
        Assert.Equal(1, memory[3 * PageBytes]);
    }

    [Fact]
    public unsafe void Disposal_returns_everything_once()
    {
        pager.SkipUnlessListening();
        long before = SponsoredMemoryStatistics.Read().SegmentBytes;
        SponsoredMemory<int> memory = SponsoredMemory<int>.Allocate(PageBytes);
        memory[1] = 1;
        Assert.Equal(before + PageBytes * sizeof(int), SponsoredMemoryStatistics.Read().SegmentBytes);
        Parallel.For(0, 8, _ => memory.Dispose());
        Assert.Equal(before, SponsoredMemoryStatistics.Read().SegmentBytes);
        Assert.Equal(0, memory.Length);
        Assert.True(memory.Pointer == null);
        Assert.Throws<ObjectDisposedException>(() => memory[0]);
        Assert.Throws<ObjectDisposedException>(() => memory.Slice(0, 0).Length);
        Assert.Throws<ObjectDisposedException>(() => memory.Resize(1));
        Assert.Throws<ObjectDisposedException>(() => memory.Advise(0, 0, SponsoredMemoryAdvice.Normal));
    }

    [Fact]
    public void Unreachable_memory_is_returned_by_the_finalizer()
    {
        pager.SkipUnlessListening();
        long before = SponsoredMemoryStatistics.Read().SegmentBytes;
        AllocateAndForget();
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Assert.Equal(before, SponsoredMemoryStatistics.Read().SegmentBytes);

        [MethodImpl(MethodImplOptions.NoInlining)]
        static void AllocateAndForget() => SponsoredMemory<int>.Allocate(100)[0] = 1;
    }

    [Fact]
    public void A_full_sponsor_is_an_error_that_says_so()
    {
        pager.SkipUnlessListening();
        long before = SponsoredMemoryStatistics.Read().SegmentBytes;
        SponsoredMemoryException refused = Assert.Throws<SponsoredMemoryException>(
            () => SponsoredMemory<byte>.Allocate(MinipagerFixture.AllocatableBytes + 1));
        Assert.Equal(HecaErrno.ENOSPC, refused.Errno);
        Assert.Contains("allocating", refused.Operation, StringComparison.Ordinal);
        Assert.Contains("sponsor", refused.Remedy, StringComparison.Ordinal);
        Assert.Equal(before, SponsoredMemoryStatistics.Read().SegmentBytes);
    }
}
