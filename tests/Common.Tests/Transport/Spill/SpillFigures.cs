using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Interop;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Sealing;
using Hecatonchire.Transport.Spill;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>
/// What a spill file does on this host's disk; not a test, and run only when asked for: <c>Common.Tests -class "*SpillFigures" -explicit only</c>, with
/// the directory in HECA_SPILL_AT and the threads of a connection in HECA_SPILL_THREADS.
/// </summary>
public sealed unsafe class SpillFigures
{
    private const int Slots = 65536;
    private readonly DataCompletion[] _ended = new DataCompletion[64];

    [Fact(Explicit = true)]
    public void Pages_a_second_and_the_latency_of_one()
    {
        string at = Environment.GetEnvironmentVariable("HECA_SPILL_AT") ?? Path.GetTempPath();
        int threads = int.Parse(Environment.GetEnvironmentVariable("HECA_SPILL_THREADS") ?? $"{SpillConnection.ThreadsDefault}", CultureInfo.InvariantCulture);
        using SpillFile file = new(at, 4L << 30);
        using SpillConnection writer = new(file, threads), reader = new(file, threads);
        using PageBuffer buffers = new(64 * 64);
        long started = Stopwatch.GetTimestamp();
        Assert.Equal(0, file.TryAllocate((long)Slots << PageSize.Shift, out ulong slab));
        Say($"{at}, {threads} threads a connection, {(file.IsDirect ? "direct" : "through the page cache")}; a slab of {new ByteSize((long)Slots << PageSize.Shift)} allocated in {Stopwatch.GetElapsedTime(started).TotalMilliseconds:0.0} ms");

        Say($"first write, runs of 64, 8 in flight: {PagesPerSecond(writer, slab, buffers, 64, 8, isWrite: true, isRandom: false):0} pages/s");
        foreach ((int run, int depth) in (ReadOnlySpan<(int, int)>)[(64, 8), (16, 8), (1, 32), (1, 1)])
        {
            foreach (bool isWrite in (ReadOnlySpan<bool>)[true, false])
            {
                double rate = PagesPerSecond(isWrite ? writer : reader, slab, buffers, run, depth, isWrite, isRandom: true);
                Say($"{(isWrite ? "write" : "read")}, random runs of {run}, {depth} in flight: {rate:0} pages/s");
            }
        }

        Latency("read of one page", () => Once(reader, slab, buffers, isWrite: false));
        Latency("write of one page", () => Once(writer, slab, buffers, isWrite: true));
        long offset = RawSpill.OffsetOf(file, slab);
        int descriptor = (int)file.Handle.DangerousGetHandle();
        Latency("pread of one page by the same thread", () => _ = Libc.ReadAt(descriptor, buffers.Memory, PageSize.Bytes, offset + ((long)Random.Shared.Next(Slots) << PageSize.Shift)));
        using PageSeal seal = file.NewSeal();
        byte* tag = stackalloc byte[PageSeal.TagBytes];
        started = Stopwatch.GetTimestamp();
        for (uint i = 0; i < 100_000; i++)
        {
            seal.Seal(uint.MaxValue, 0, i + 1, buffers[0], buffers[1], tag);
        }

        double sealing = Stopwatch.GetElapsedTime(started).TotalMicroseconds / 100_000;
        started = Stopwatch.GetTimestamp();
        for (uint i = 0; i < 100_000; i++)
        {
            Assert.True(seal.TryOpen(uint.MaxValue, 0, 100_000, buffers[1], tag, buffers[0]));
        }

        Say($"sealing a page: {sealing:0.00} us, opening: {Stopwatch.GetElapsedTime(started).TotalMicroseconds / 100_000:0.00} us");
    }

    private static void Say(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

    private double PagesPerSecond(SpillConnection connection, ulong slab, PageBuffer buffers, int run, int depth, bool isWrite, bool isRandom)
    {
        const double Seconds = 3;
        Stack<int> free = new(Enumerable.Range(0, depth));
        long pages = 0, started = Stopwatch.GetTimestamp();
        uint next = 0;
        while (Stopwatch.GetElapsedTime(started).TotalSeconds < Seconds && (isRandom || next < Slots))
        {
            while (free.Count > 0 && (isRandom || next < Slots))
            {
                int window = free.Pop();
                uint slot = isRandom ? (uint)Random.Shared.Next(Slots / run) * (uint)run : next;
                next += (uint)run;
                byte* buffer = buffers[window * 64];
                Assert.True(isWrite ? connection.TryPostWrite((ulong)window, slab, slot, run, buffer) : connection.TryPostRead((ulong)window, slab, slot, run, buffer));
            }

            connection.Submit();
            int done = connection.Poll(_ended);
            for (int i = 0; i < done; i++)
            {
                Assert.Equal(DataStatus.Done, _ended[i].Status);
                free.Push((int)_ended[i].Cookie);
                pages += run;
            }

            if (done == 0)
            {
                Completions.WaitForWork(connection);
            }
        }

        double took = Stopwatch.GetElapsedTime(started).TotalSeconds;
        _ = Completions.Wait(connection, depth - free.Count);
        return pages / took;
    }

    private void Once(SpillConnection connection, ulong slab, PageBuffer buffers, bool isWrite)
    {
        uint slot = (uint)Random.Shared.Next(Slots);
        Assert.True(isWrite ? connection.TryPostWrite(0, slab, slot, 1, buffers.Memory) : connection.TryPostRead(0, slab, slot, 1, buffers.Memory));
        connection.Submit();
        while (connection.Poll(_ended) == 0)
        {
            Completions.WaitForWork(connection);
        }
    }

    private static void Latency(string what, Action once)
    {
        double[] us = new double[5000];
        for (int i = 0; i < us.Length; i++)
        {
            long started = Stopwatch.GetTimestamp();
            once();
            us[i] = Stopwatch.GetElapsedTime(started).TotalMicroseconds;
        }

        Array.Sort(us);
        Say($"{what}: p50 {us[us.Length / 2]:0.0} us, p99 {us[us.Length * 99 / 100]:0.0} us");
    }
}
