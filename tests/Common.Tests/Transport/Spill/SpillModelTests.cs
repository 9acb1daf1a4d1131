using System.Diagnostics;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Spill;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>Random work over two connections, as a pager has them, against a model; the seed is in every message.</summary>
public sealed unsafe class SpillModelTests : IDisposable
{
    private const int RunMax = 16;
    private readonly SpillDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    private sealed record Slab(ulong Number, uint[] Versions, bool[] IsBusy)
    {
        public int InFlight { get; set; }
    }

    private sealed record Request(Slab Slab, uint Slot, int Pages, bool IsWrite, PageBuffer Buffer);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Slabs_that_come_and_go_hold_what_was_written_to_them(int seed)
    {
        const long Bound = 4 << 20;
        using SpillFile file = new(_directory.Path, Bound);
        using RawSpill raw = new(file);
        using SpillConnection reader = new(file), writer = new(file);
        Random random = new(seed);
        List<Slab> slabs = [];
        Dictionary<ulong, Request> inFlight = [];
        Stack<PageBuffer> buffers = new(Enumerable.Range(0, 96).Select(_ => new PageBuffer(RunMax)));
        ulong cookie = 0;
        for (int step = 0; step < 6000 || inFlight.Count > 0; step++)
        {
            bool isEnding = step >= 6000;
            if (!isEnding && random.Next(20) == 0)
            {
                ComeAndGo(file, slabs, random, seed);
            }

            for (int tries = isEnding ? 0 : random.Next(12); tries > 0 && buffers.Count > 0 && slabs.Count > 0; tries--)
            {
                if (TryPost(reader, writer, slabs[random.Next(slabs.Count)], cookie, buffers.Peek(), random) is { } request)
                {
                    _ = buffers.Pop();
                    inFlight.Add(cookie++, request);
                }
            }

            reader.Submit();
            writer.Submit();
            int ended = Take(reader, inFlight, buffers, seed) + Take(writer, inFlight, buffers, seed);
            if (ended == 0 && inFlight.Count > 0 && (isEnding || buffers.Count == 0))
            {
                Completions.WaitForWork(inFlight.Values.Any(request => request.IsWrite) ? writer : reader);
            }
        }

        Assert.Equal(0, file.PagesLost);
        Assert.True(file.PagesRead > 1000 && file.PagesWritten > 1000, $"seed {seed}: too little happened");
        foreach (Slab slab in slabs)
        {
            Assert.True(file.Free(slab.Number));
        }

        Assert.Equal(0, file.AllocatedBytes);
        Assert.InRange(raw.Blocks, 0, 1 << 20);
        foreach (PageBuffer buffer in buffers)
        {
            buffer.Dispose();
        }
    }

    /// <summary>
    /// The copier reads what the program may begin to write: it then gets a version that was there meanwhile, whole, and never a loss. Long reads here, and many short writes meanwhile.
    /// </summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void What_is_read_while_it_is_written_is_one_of_its_versions(int seed)
    {
        const int Slots = 256, Reads = 150, WriteMax = 3;
        using SpillFile file = new(_directory.Path, 1 << 20);
        using SpillConnection reader = new(file), writer = new(file);
        Assert.Equal(0, file.TryAllocate(Slots << PageSize.Shift, out ulong slab));
        Random random = new(seed);
        using PageBuffer written = new(WriteMax), read = new(Slots);
        DataCompletion[] ended = new DataCompletion[1];
        uint[] versions = new uint[Slots], oldest = new uint[Slots];
        int reads = 0, writes = 0;
        (int Slot, int Pages) writing = (0, 0);
        bool isReading = false;
        long progress = Stopwatch.GetTimestamp();
        while (reads < Reads || isReading || writing.Pages > 0)
        {
            if (writing.Pages == 0 && reads < Reads)
            {
                int slot = random.Next(Slots - WriteMax);
                writing = (slot, random.Next(1, WriteMax + 1));
                for (int i = 0; i < writing.Pages; i++)
                {
                    PageBuffer.Fill(written[i], (uint)(slot + i), ++versions[slot + i]);
                }

                Assert.True(writer.TryPostWrite(0, slab, (uint)slot, writing.Pages, written.Memory));
                writer.Submit();
                writes++;
            }

            if (!isReading && reads < Reads)
            {
                versions.CopyTo(oldest, 0);
                for (int i = 0; i < writing.Pages; i++)
                {
                    oldest[writing.Slot + i]--;
                }

                isReading = reader.TryPostRead(0, slab, 0, Slots, read.Memory);
                reader.Submit();
            }

            if (reader.Poll(ended) == 1)
            {
                Assert.True(ended[0].Status == DataStatus.Done, $"seed {seed}: read {reads} ended as {ended[0].Status} after {writes} writes");
                for (int i = 0; i < Slots; i++)
                {
                    AssertHoldsOneOf(read[i], (uint)i, oldest[i], versions[i], seed);
                }

                (isReading, reads) = (false, reads + 1);
                progress = Stopwatch.GetTimestamp();
            }

            writing = writer.Poll(ended) == 1 ? (0, 0) : writing;
            Assert.True(Stopwatch.GetElapsedTime(progress).TotalSeconds < 20, $"seed {seed}: hung at read {reads}, write {writes}");
        }

        Assert.Equal(0, file.PagesLost);
        Assert.True(writes > Reads, $"seed {seed}: {writes} writes are too few");
    }

    private static void AssertHoldsOneOf(byte* page, uint slot, uint oldest, uint newest, int seed)
    {
        uint version = oldest;
        while (version < newest && !PageBuffer.Holds(page, slot, version))
        {
            version++;
        }

        Assert.True(PageBuffer.Holds(page, slot, version), $"seed {seed}: slot {slot} holds none of the versions {oldest} to {newest}");
    }

    private static void ComeAndGo(SpillFile file, List<Slab> slabs, Random random, int seed)
    {
        if (slabs.Find(slab => slab.InFlight == 0) is { } idle && random.Next(2) == 0)
        {
            Assert.True(file.Free(idle.Number));
            _ = slabs.Remove(idle);
            return;
        }

        long bytes = SpillFile.SlabBytesMin << random.Next(6), before = file.AllocatedBytes;
        int errno = file.TryAllocate(bytes, out ulong number);
        Assert.True(errno == 0 == (before + bytes <= file.BytesMax), $"seed {seed}: errno {errno} for {bytes} beside {before}");
        if (errno == 0)
        {
            uint slots = (uint)(bytes >> PageSize.Shift);
            slabs.Add(new Slab(number, new uint[slots], new bool[slots]));
        }
    }

    private static Request? TryPost(SpillConnection reader, SpillConnection writer, Slab slab, ulong cookie, PageBuffer buffer, Random random)
    {
        int pages = random.Next(3) == 0 ? random.Next(1, RunMax + 1) : 1;
        uint slot = (uint)random.Next(slab.Versions.Length - pages + 1);
        if (slab.IsBusy.AsSpan((int)slot, pages).Contains(true))
        {
            return null;
        }

        bool isWrite = random.Next(2) == 0;
        for (int i = 0; isWrite && i < pages; i++)
        {
            PageBuffer.Fill(buffer[i], slot + (uint)i, (uint)(slab.Number * 100_000) + slab.Versions[slot + i] + 1);
        }

        Assert.True(isWrite
            ? writer.TryPostWrite(cookie, slab.Number, slot, pages, buffer.Memory)
            : reader.TryPostRead(cookie, slab.Number, slot, pages, buffer.Memory));
        slab.IsBusy.AsSpan((int)slot, pages).Fill(true);
        slab.InFlight++;
        return new Request(slab, slot, pages, isWrite, buffer);
    }

    private static int Take(SpillConnection connection, Dictionary<ulong, Request> inFlight, Stack<PageBuffer> buffers, int seed)
    {
        DataCompletion[] ended = new DataCompletion[8];
        int count = connection.Poll(ended);
        foreach (DataCompletion completion in ended.AsSpan(0, count))
        {
            Assert.True(inFlight.Remove(completion.Cookie, out Request? request), $"seed {seed}: ended twice");
            Assert.True(completion.Status == DataStatus.Done, $"seed {seed}: ended as {completion.Status}");
            Slab slab = request!.Slab;
            slab.InFlight--;
            for (int i = 0; i < request.Pages; i++)
            {
                uint at = request.Slot + (uint)i;
                slab.IsBusy[at] = false;
                slab.Versions[at] += request.IsWrite ? 1u : 0;
                uint version = slab.Versions[at] == 0 ? 0 : (uint)(slab.Number * 100_000) + slab.Versions[at];
                Assert.True(request.IsWrite || PageBuffer.Holds(request.Buffer[i], at, version), $"seed {seed}: slot {at} of slab {slab.Number} is not version {version}");
            }

            buffers.Push(request.Buffer);
        }

        return count;
    }
}
