using System.Runtime.CompilerServices;
using Hecatonchire.Control.Messages;
using Hecatonchire.Sponsor.Serving;
using Hecatonchire.Sponsor.Slabs;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Slabs;

public sealed unsafe class SlabStoreTests : IDisposable
{
    private const long MiB = 1L << 20;
    private const long GiB = 1L << 30;

    private static readonly Guid Alice = Guid.NewGuid();
    private static readonly Guid Bob = Guid.NewGuid();

    private readonly ManualTime _time = new();
    private readonly SlabStoreOptions _options = new() { OfferedBytes = 256 * MiB, DemandersMax = 4 };
    private readonly SlabStore _store;

    public SlabStoreTests()
    {
        _store = new SlabStore(_options, _time);
        Assert.Null(_store.Greet(Alice, "alice"));
        Assert.Null(_store.Greet(Bob, "bob"));
    }

    public void Dispose() => _store.Dispose();

    [Theory]
    [InlineData(0)]
    [InlineData(-64 * MiB)]
    [InlineData(32 * MiB)]
    [InlineData(96 * MiB)]
    [InlineData(64 * MiB + 1)]
    [InlineData(2 * GiB)]
    [InlineData(long.MinValue)]
    [InlineData(long.MaxValue)]
    public void A_size_that_is_no_slab_size_is_a_bad_request(long bytes)
    {
        Assert.Equal(ErrorCode.BadRequest, _store.TryAllocate(Alice, bytes, out _)?.Code);
        Assert.Equal(0, _store.LentBytes);
    }

    [Fact]
    public void What_exceeds_the_offer_is_refused_and_says_how_much_is_free()
    {
        Allocate(Alice, 128 * MiB);
        Allocate(Bob, 64 * MiB);
        Refusal? refusal = _store.TryAllocate(Bob, 128 * MiB, out _);
        Assert.Equal(ErrorCode.Full, refusal?.Code);
        Assert.Contains("64MiB of 256MiB free", refusal?.Message, StringComparison.Ordinal);
        Allocate(Bob, 64 * MiB);
        Assert.Equal(0, _store.FreeBytes);
        Assert.Equal(256 * MiB, _store.LentBytes);
    }

    [Fact]
    public void What_is_lent_beyond_a_lower_offer_stays_lent_and_is_asked_back_by_shares()
    {
        Allocate(Alice, 128 * MiB);
        ulong small = Allocate(Bob, 64 * MiB);
        Assert.Equal((0, 0), (_store.ReclaimBytes(Alice), _store.ReclaimBytes(Bob)));
        _store.Offer(96 * MiB);
        Assert.Equal((96 * MiB, 192 * MiB, 0L), (_store.OfferedBytes, _store.LentBytes, _store.FreeBytes));
        Assert.Equal((64 * MiB, 32 * MiB), (_store.ReclaimBytes(Alice), _store.ReclaimBytes(Bob)));
        Assert.Equal(0, _store.ReclaimBytes(Guid.NewGuid()));
        Assert.Equal(ErrorCode.Full, _store.TryAllocate(Bob, 64 * MiB, out _)?.Code);
        Assert.Null(_store.Free(Bob, small));
        Assert.Equal((32 * MiB, 0), (_store.ReclaimBytes(Alice), _store.ReclaimBytes(Bob)));
        _store.Offer(0);
        Assert.Equal(128 * MiB, _store.ReclaimBytes(Alice));
        _store.Offer(512 * MiB);
        Assert.Equal((0, 384 * MiB), (_store.ReclaimBytes(Alice), _store.FreeBytes));
        Allocate(Bob, 256 * MiB);
    }

    [Fact]
    public void What_the_host_cannot_bear_is_not_offered_whatever_was_told()
    {
        Allocate(Alice, 128 * MiB);
        _store.Bear(64 * MiB);
        Assert.Equal((64 * MiB, 64 * MiB, 256 * MiB), (_store.OfferedBytes, _store.ReclaimBytes(Alice), _store.ToldBytes));
        _store.Bear(long.MaxValue);
        Assert.Equal((256 * MiB, 0), (_store.OfferedBytes, _store.ReclaimBytes(Alice)));
    }

    [Fact]
    public void A_freed_slab_can_be_lent_again_under_a_new_id_and_reads_as_zeros()
    {
        ulong first = Allocate(Alice, 256 * MiB);
        SlabView view = View(Alice, first);
        view.Memory[12345] = 77;
        Assert.Null(_store.Free(Alice, first));
        Assert.Equal(0, _store.LentBytes);
        ulong second = Allocate(Alice, 256 * MiB);
        Assert.NotEqual(first, second);
        Assert.Equal(0, View(Alice, second).Memory[12345]);
        Assert.Equal(ErrorCode.NoSuchSlab, _store.Free(Alice, first)?.Code);
    }

    [Fact]
    public void A_slab_is_its_demanders_only()
    {
        ulong slab = Allocate(Alice, 64 * MiB);
        Assert.Equal(64 * MiB >> PageSize.Shift, View(Alice, slab).Slots);
        Assert.False(_store.TryFind(HandleOf(Bob), slab, out _));
        Assert.Equal(ErrorCode.NoSuchSlab, _store.Free(Bob, slab)?.Code);
        Assert.Empty(_store.List(Bob));
        Assert.Equal([new SlabEntry(slab, 64 * MiB)], _store.List(Alice));
        Assert.True(_store.TryFind(HandleOf(Alice), slab, out _));
    }

    [Fact]
    public void A_slab_is_mapped_lazily_and_kept_out_of_core_dumps()
    {
        SlabView view = View(Alice, Allocate(Alice, 256 * MiB));
        Assert.InRange(Smaps(view, "Rss:"), 0, 4 * 1024);
        for (int page = 0; page < 16; page++)
        {
            view.Memory[(long)page << PageSize.Shift] = 1;
        }

        Assert.InRange(Smaps(view, "Rss:"), 64, 16 * 1024);
        Assert.Contains(" dd", SmapsLine(view, "VmFlags:"), StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_is_unmapped_only_after_the_serving_thread_let_go_of_it()
    {
        RecordingLoop loop = new();
        _store.ServeWith(loop);
        ulong slab = Allocate(Alice, 64 * MiB);
        SlabView view = View(Alice, slab);
        DemanderHandle alice = HandleOf(Alice);
        loop.OnBarrier = () =>
        {
            // Not to be found any more, so that the serving thread starts nothing new on it, and still there.
            Assert.False(_store.TryFind(alice, slab, out _));
            Assert.True(IsMapped(view));
            Assert.Equal(64 * MiB, _store.LentBytes);
        };
        Assert.Null(_store.Free(Alice, slab));
        Assert.Equal(1, loop.Barriers);
        Assert.False(IsMapped(view));
        Assert.Equal(0, _store.LentBytes);
    }

    [Fact]
    public void Finding_a_slab_allocates_nothing()
    {
        for (int i = 0; i < 4; i++)
        {
            Allocate(Alice, 64 * MiB);
        }

        DemanderHandle alice = HandleOf(Alice);
        Assert.Equal(10, Find(alice, 10));
        long before = GC.GetAllocatedBytesForCurrentThread();
        int found = Find(alice, 100_000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(100_000, found);
    }

    [Fact]
    public void Many_slabs_are_all_found_by_their_ids_and_no_others()
    {
        using SlabStore store = new(_options with { OfferedBytes = 64 * GiB, SlabBytesMin = PageSize.Bytes }, _time);
        store.Greet(Alice, "alice");
        List<ulong> slabs = [];
        Refusal? refusal;
        while ((refusal = store.TryAllocate(Alice, PageSize.Bytes, out SlabEntry entry)) is null)
        {
            slabs.Add(entry.Slab);
        }

        // The bound that keeps `list` inside one frame.
        Assert.Equal(ErrorCode.Full, refusal.Code);
        Assert.Equal(ControlProtocol.SlabsPerDemanderMax, slabs.Count);
        foreach (ulong gone in slabs.Where(slab => slab % 3 == 0))
        {
            Assert.Null(store.Free(Alice, gone));
        }

        DemanderHandle alice = Redeem(store, Alice);
        for (ulong slab = 0; slab <= slabs[^1] + 1; slab++)
        {
            Assert.Equal(slabs.Contains(slab) && slab % 3 != 0, store.TryFind(alice, slab, out _));
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int Find(DemanderHandle demander, int times)
    {
        int found = 0;
        for (int i = 0; i < times; i++)
        {
            found += _store.TryFind(demander, 1 + (ulong)(i & 3), out SlabView view) && view.Slots > 0 ? 1 : 0;
        }

        return found;
    }

    private ulong Allocate(Guid demander, long bytes)
    {
        Assert.Null(_store.TryAllocate(demander, bytes, out SlabEntry entry));
        Assert.Equal(bytes, entry.Bytes);
        return entry.Slab;
    }

    private SlabView View(Guid demander, ulong slab)
    {
        Assert.True(_store.TryFind(HandleOf(demander), slab, out SlabView view));
        return view;
    }

    private DemanderHandle HandleOf(Guid demander) => Redeem(_store, demander);

    internal static DemanderHandle Redeem(SlabStore store, Guid demander)
    {
        byte[]? token = store.MakeToken(demander);
        Assert.NotNull(token);
        Assert.True(store.TryRedeem(token, WireId.ToBytes(demander), out DemanderHandle handle));
        return handle;
    }

    // A mapping of ours may have been merged with a neighbour: what counts is whether the address is in any.
    private static bool IsMapped(SlabView view) => File.ReadLines("/proc/self/maps").Any(line =>
    {
        string[] range = line.Split(' ', 2)[0].Split('-');
        ulong address = (ulong)view.Memory;
        return Convert.ToUInt64(range[0], 16) <= address && address < Convert.ToUInt64(range[1], 16);
    });

    private static long Smaps(SlabView view, string key) =>
        long.Parse(SmapsLine(view, key).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]);

    private static string SmapsLine(SlabView view, string key)
    {
        ulong address = (ulong)view.Memory;
        bool inside = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            string first = line.Split(' ', 2)[0];
            if (first.Contains('-'))
            {
                string[] range = first.Split('-');
                inside = Convert.ToUInt64(range[0], 16) <= address && address < Convert.ToUInt64(range[1], 16);
            }
            else if (inside && first == key)
            {
                return line;
            }
        }

        throw new InvalidOperationException($"no {key} for {address:x}");
    }

    private sealed class RecordingLoop : IServingLoop
    {
        public int Barriers { get; private set; }

        public Action OnBarrier { get; set; } = () => { };

        public int Port => 0;

        public void RunBetweenRequests(Action action)
        {
            Barriers++;
            OnBarrier();
            action();
        }

        public void DropConnections(DemanderHandle demander)
        {
        }
    }
}
