using System.Text;
using Hecatonchire.Tests.Transport.Striped;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Sealing;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Transport.Sealing;

/// <summary>
/// What a sponsor can see and do that means ill: it has noise, and whatever it puts in a page's place is had from another replica, or told to be lost. That all goes well otherwise is the
/// simulation's.
/// </summary>
public sealed unsafe class SealedStripeTests : IDisposable
{
    private const uint Slots = 64;

    private readonly string _folder = Directory.CreateDirectory($"/dev/shm/heca-test-seals-{Guid.NewGuid():N}").FullName;
    private readonly Guid _demander = Guid.NewGuid();
    private readonly FakeMemory[] _memories = [new(), new()];
    private readonly List<int> _wrong = [];
    private readonly List<SponsorSet> _sets = [];
    private readonly List<SealFile> _files = [];
    private readonly PageBuffer _pages = new((int)Slots);
    private readonly ulong[] _slabs;
    private SponsorSet _set;
    private ulong _stripe;

    public SealedStripeTests()
    {
        _set = Open(SealFile.Create(_folder, _demander));
        _slabs = [.. _memories.Select(memory => memory.Add(Slots))];
        Assert.Equal(0, _set.Stripes.TryPrepare(Slots));
        _stripe = _set.Stripes.Add(Slots, [(0, _slabs[0]), (1, _slabs[1])]);
    }

    public void Dispose()
    {
        _sets.ForEach(set => set.Dispose());
        _files.ForEach(file => file.Dispose());
        _pages.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void A_sponsor_has_noise_and_other_noise_when_the_same_is_written_again()
    {
        byte[] secret = Encoding.ASCII.GetBytes("a secret, again ");
        for (int i = 0; i < PageSize.Bytes * (int)Slots; i++)
        {
            _pages.Memory[i] = secret[i % secret.Length];
        }

        Assert.Equal(DataStatus.Done, Write(0, (int)Slots));
        byte[] first = [.. _memories[0].Pages(_slabs[0], 0, (int)Slots)];
        Assert.Equal(-1, first.AsSpan().IndexOf(secret.AsSpan(0, 8)));
        Assert.Equal((int)Slots, first.Chunk(PageSize.Bytes).Select(Convert.ToHexString).Distinct().Count());
        Assert.True(_memories[1].Pages(_slabs[1], 0, (int)Slots).SequenceEqual(first));
        Assert.True(_pages.Span(3, 1).IndexOf(secret) == 0, "what is written is sealed where it lies");

        Assert.Equal(DataStatus.Done, Write(0, (int)Slots));
        Assert.All(first.Chunk(PageSize.Bytes).Zip(_memories[0].Pages(_slabs[0], 0, (int)Slots).ToArray().Chunk(PageSize.Bytes)), both => Assert.NotEqual(both.First, both.Second));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(17_000)]
    [InlineData((PageSize.Bytes * 8) - 1)]
    public void A_flipped_bit_is_noticed(int bit)
    {
        WriteVersion(1);
        AssertIsHadFromTheOther(7, () => _memories[0].Flip(_slabs[0], 7, bit), 1);
    }

    [Fact]
    public void An_old_page_put_back_is_noticed()
    {
        WriteVersion(1);
        byte[] old = [.. _memories[0].Pages(_slabs[0], 7)];
        WriteVersion(2);
        AssertIsHadFromTheOther(7, () => old.CopyTo(_memories[0].Pages(_slabs[0], 7)), 2);
    }

    [Fact]
    public void A_page_in_anothers_place_is_noticed()
    {
        WriteVersion(1);
        AssertIsHadFromTheOther(7, () => _memories[0].Pages(_slabs[0], 8).CopyTo(_memories[0].Pages(_slabs[0], 7)), 1);
    }

    [Fact]
    public void What_every_replica_has_put_back_is_lost_and_nothing_of_it_is_seen()
    {
        WriteVersion(1);
        byte[][] old = [.. _memories.Select((memory, i) => memory.Pages(_slabs[i], 7).ToArray())];
        WriteVersion(2);
        for (int i = 0; i < 2; i++)
        {
            old[i].CopyTo(_memories[i].Pages(_slabs[i], 7));
        }

        Assert.Equal(DataStatus.Lost, Read(7, 1));
        Assert.Equal(DataStatus.Lost, Read(0, (int)Slots));
        AssertHolds(0, 7, 2);
        AssertHolds(8, 56, 2);
    }

    [Fact]
    public void What_was_never_written_cannot_be_had()
    {
        // Whatever a sponsor says is there.
        _memories[0].Pages(_slabs[0], 7).Fill(1);
        Assert.Equal(DataStatus.Lost, Read(7, 1));
    }

    [Fact]
    public void A_stripe_under_a_number_that_was_anothers_does_not_open_what_that_one_had()
    {
        WriteVersion(1);
        byte[] old = [.. _memories[0].Pages(_slabs[0], 0, (int)Slots)];
        _set.Stripes.Remove(_stripe);
        Assert.Equal(0, _set.Stripes.TryPrepare(Slots));
        ulong slab = _memories[0].Add(Slots);
        Assert.Equal(_stripe, _set.Stripes.Add(Slots, [(0, slab)]));

        // The same pages in the same slots in the same versions, as other noise.
        WriteVersion(1);
        byte[] now = [.. _memories[0].Pages(slab, 0, (int)Slots)];
        Assert.All(old.Chunk(PageSize.Bytes).Zip(now.Chunk(PageSize.Bytes)), both => Assert.NotEqual(both.First, both.Second));
        old.CopyTo(_memories[0].Pages(slab, 0, (int)Slots));
        Assert.Equal(DataStatus.Lost, Read(7, 1));
    }

    [Fact]
    public void Who_comes_after_a_pager_that_died_opens_what_it_sealed_and_uses_no_version_again()
    {
        WriteVersion(1);
        byte[] before = [.. _memories[0].Pages(_slabs[0], 0, (int)Slots)];

        // Nothing was disposed.
        _set = Open(SealFile.Open(_folder, _demander)!);
        _set.Stripes.Adopt(_stripe, Slots, [(0, _slabs[0]), (1, _slabs[1])]);
        AssertHolds(0, (int)Slots, 1);
        WriteVersion(1);
        Assert.All(before.Chunk(PageSize.Bytes).Zip(_memories[0].Pages(_slabs[0], 0, (int)Slots).ToArray().Chunk(PageSize.Bytes)), both => Assert.NotEqual(both.First, both.Second));
        AssertHolds(0, (int)Slots, 1);

        // Stripes of its own have other numbers under the key than those of the dead.
        Assert.Equal(0, _set.Stripes.TryPrepare(Slots));
        ulong own = _set.Stripes.Add(Slots, [(0, _memories[0].Add(Slots))]);
        Assert.Equal(2ul, _set.Stripes[own]!.Seal.Head->Generation);
        _ = Assert.Throws<InvalidDataException>(() => _set.Stripes.Adopt(own, Slots, []));
        _ = Assert.Throws<InvalidDataException>(() => _set.Stripes.Adopt(17, Slots, []));
    }

    [Fact]
    public void A_version_is_used_by_one_write_only_whatever_becomes_of_it()
    {
        HashSet<(ulong, uint, ulong)> used = [];
        var random = new Random(7);
        for (int round = 0; round < 200; round++)
        {
            int pages = random.Next(1, 9);
            uint slot = (uint)random.Next((int)Slots - pages);
            Assert.Equal(DataStatus.Done, Write(slot, pages));
            SealPlace place = _set.Stripes[_stripe]!.Seal;
            for (uint i = slot; i < slot + pages; i++)
            {
                Assert.True(used.Add((place.Head->Generation, i, place.Records[i].Version)), "a nonce comes twice");
            }

            if (random.Next(20) == 0)
            {
                _set.Stripes.Remove(_stripe);
                Assert.Equal(0, _set.Stripes.TryPrepare(Slots));
                _stripe = _set.Stripes.Add(Slots, [(0, _memories[0].Add(Slots))]);
            }
        }
    }

    [Fact]
    public void More_is_not_taken_than_there_is_memory_to_seal_in_and_all_of_it_comes_back()
    {
        // No answer is taken meanwhile.
        int taken = 0;
        while (_set.Writer.TryPostWrite((ulong)taken, _stripe, 0, (int)Slots, _pages.Memory))
        {
            taken++;
            Assert.True(taken <= 32, "a run is in two writes");
        }

        Assert.InRange(taken, 10, 32);
        Span<DataCompletion> ended = stackalloc DataCompletion[64];
        for (int done = 0; done < taken;)
        {
            _set.Writer.Submit();
            done += _set.Writer.Poll(ended);
        }

        for (int round = 0; round < 100; round++)
        {
            WriteVersion((uint)round + 1);
        }

        AssertHolds(0, (int)Slots, 100);
    }

    [Fact]
    public void Sealing_and_opening_allocate_nothing()
    {
        WriteVersion(1);
        SealPlace place = _set.Stripes[_stripe]!.Seal;
        PageSealer sealer = _set.Sealer!;
        long Run(int count)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < count; i++)
            {
                byte* run = sealer.Seal(in place, 3, 5, _pages[0]);
                sealer.Note(in place, 3, 5);
                Assert.True(sealer.IsRight(in place, 4, run + PageSize.Bytes) && sealer.TryOpen(in place, 4, run + PageSize.Bytes));
                sealer.Return(run, 5);
            }

            return GC.GetAllocatedBytesForCurrentThread() - before;
        }

        _ = Run(100);
        Assert.Equal(0, Allocations.Least(() => Run(10_000)));
    }

    [Fact]
    public void A_key_is_not_written_to_a_disk_and_no_file_is_taken_for_another()
    {
        Assert.Equal("pages cannot be sealed: /proc is on proc, and the key is to be in memory only; give a folder on a tmpfs, such as /run",
            Assert.Throws<SealException>(() => SealFile.CheckHost("/proc")).Message);
        Assert.EndsWith("errno 17 (File exists)", Assert.Throws<SealException>(() => SealFile.Create(_folder, _demander)).Message, StringComparison.OrdinalIgnoreCase);
        Assert.Null(SealFile.Open(_folder, Guid.NewGuid()));
        string path = Assert.Single(Directory.GetFiles(_folder));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        using (FileStream file = File.OpenWrite(path))
        {
            file.WriteByte(0);
        }

        Assert.Equal($"{path} is of another version", Assert.Throws<InvalidDataException>(() => SealFile.Open(_folder, _demander)).Message);
        using (FileStream file = File.OpenWrite(path))
        {
            file.SetLength(4096);
        }

        Assert.Equal($"{path} is not what pages were sealed with", Assert.Throws<InvalidDataException>(() => SealFile.Open(_folder, _demander)).Message);

    }

    private SponsorSet Open(SealFile file)
    {
        var set = new SponsorSet(ReadPolicy.RoundRobin, silenceMsMax: 300, seals: file) { OnCorrupted = _wrong.Add };
        set.Repair = new StripeRepair(set);
        foreach (FakeMemory memory in _memories)
        {
            FakeSponsorConnection Connect() => new(memory, new Random(1)) { PagesPerRequestMax = (int)Slots };
            _ = set.Add(Connect(), Connect());
        }

        _files.Add(file);
        _sets.Add(set);
        return set;
    }

    /// <summary>The first sponsor has something else in a slot: each time it is noticed, and the other's is told; in the end it has what it should again.</summary>
    private void AssertIsHadFromTheOther(uint slot, Action change, uint version)
    {
        change();
        AssertHolds(0, (int)Slots, version);
        AssertHolds(slot, 1, version);
        Assert.NotEmpty(_wrong);
        Assert.All(_wrong, sponsor => Assert.Equal(0, sponsor));
        for (int i = 0; _set.Repair!.IsBusy; i++)
        {
            Assert.True(i < 10_000, "it is not written anew");
            Pump();
        }

        Assert.Equal(1, _set.Repair.Repaired);
        Assert.True(_memories[0].Pages(_slabs[0], slot).SequenceEqual(_memories[1].Pages(_slabs[1], slot)));
    }

    private void WriteVersion(uint version)
    {
        for (uint slot = 0; slot < Slots; slot++)
        {
            PageBuffer.Fill(_pages[(int)slot], slot, version);
        }

        Assert.Equal(DataStatus.Done, Write(0, (int)Slots));
    }

    private void AssertHolds(uint slot, int pages, uint version)
    {
        // From each of the replicas.
        for (int again = 0; again < 4; again++)
        {
            Assert.Equal(DataStatus.Done, Read(slot, pages));
            for (int i = 0; i < pages; i++)
            {
                Assert.True(PageBuffer.Holds(_pages[i], slot + (uint)i, version), $"slot {slot + i} is not as it was written");
            }
        }
    }

    private DataStatus Write(uint slot, int pages)
    {
        Assert.True(_set.Writer.TryPostWrite(1, _stripe, slot, pages, _pages.Memory));
        return End(_set.Writer);
    }

    private DataStatus Read(uint slot, int pages)
    {
        Assert.True(_set.Reader.TryPostRead(2, _stripe, slot, pages, _pages.Memory));
        return End(_set.Reader);
    }

    private DataStatus End(StripedConnection connection)
    {
        Span<DataCompletion> ended = stackalloc DataCompletion[4];
        for (int i = 0; i < 10_000; i++)
        {
            _set.Writer.Submit();
            _set.Reader.Submit();
            if (connection.Poll(ended) > 0)
            {
                return ended[0].Status;
            }
        }

        Assert.Fail("a request does not end");
        return default;
    }

    private void Pump()
    {
        Span<DataCompletion> ended = stackalloc DataCompletion[4];
        _set.Writer.Submit();
        _set.Reader.Submit();
        _ = _set.Writer.Poll(ended);
        _ = _set.Reader.Poll(ended);
    }
}
