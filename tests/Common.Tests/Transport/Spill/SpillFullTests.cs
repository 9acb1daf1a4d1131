using System.Diagnostics;
using Hecatonchire.Interop;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Spill;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>Disks that are full, and one that fails. Nothing that was written is lost by the former.</summary>
public sealed unsafe class SpillFullTests
{
    private const long KiB = 1 << 10;
    private const long MiB = 1 << 20;

    [Fact]
    public void A_full_disk_refuses_a_slab_and_keeps_what_it_has()
    {
        using SmallFileSystem small = SmallFileSystem.Memory(MiB);
        using SpillFile file = new(small.Path, 1024 * MiB);
        using RawSpill raw = new(file);
        small.Detach();
        using SpillConnection connection = new(file);
        Assert.Equal(0, file.TryAllocate(512 * KiB, out ulong slab));
        using PageBuffer pages = new(128);
        Write(connection, slab, pages, 128, version: 1);

        long before = raw.Blocks;
        Assert.Equal(Errno.ENOSPC, file.TryAllocate(MiB, out _));
        Assert.Equal(Errno.ENOSPC, file.TryAllocate(1024 * MiB, out _));
        Assert.Equal(before, raw.Blocks);
        Assert.Equal(512 * KiB, file.AllocatedBytes);

        // What is left is still to be had; then there is nothing.
        Assert.Equal(0, file.TryAllocate(256 * KiB, out ulong other));
        Assert.Equal(0, file.TryAllocate(128 * KiB, out _));
        while (file.TryAllocate(64 * KiB, out _) == 0)
        {
        }

        // With not a block free, all that is reserved is written, and written again.
        Write(connection, other, pages, 64, version: 2);
        Write(connection, slab, pages, 128, version: 3);
        Write(connection, slab, pages, 128, version: 4);
        AssertHolds(connection, other, 64, version: 2);
        AssertHolds(connection, slab, 128, version: 4);
        Assert.True(file.Free(other));
        Assert.Equal(0, file.TryAllocate(256 * KiB, out _));
    }

    [Fact]
    public void A_write_without_room_is_held_until_there_is_some_and_nothing_is_lost()
    {
        using SmallFileSystem small = SmallFileSystem.Memory(MiB);
        using SpillFile file = new(small.Path, 1024 * MiB);
        using RawSpill raw = new(file);
        using FileStream filler = File.Create(Path.Combine(small.Path, "filler"));
        File.Delete(filler.Name);
        small.Detach();
        using SpillConnection writer = new(file), reader = new(file);
        using PageBuffer pages = new(32);
        Assert.Equal(0, file.TryAllocate(128 * KiB, out ulong safe));
        Assert.Equal(0, file.TryAllocate(128 * KiB, out ulong slab));
        Write(writer, safe, pages, 32, version: 1);

        // The reservation is broken, as by a file system that keeps none, and somebody has the room.
        raw.Punch(slab, 128 * KiB);
        Fill(filler);
        for (int i = 0; i < 32; i++)
        {
            PageBuffer.Fill(pages[i], (uint)i, 2);
        }

        Assert.True(writer.TryPostWrite(7, slab, 0, 32, pages.Memory));
        writer.Submit();
        WaitFor(() => file.WritesHeld == 1);
        Assert.Contains("errno 28", file.HeldReason);
        AssertHolds(reader, safe, 32, version: 1);
        Assert.Equal(0, writer.Poll(new DataCompletion[1]));
        Assert.False(writer.IsBroken);

        filler.SetLength(0);
        Assert.Equal(DataStatus.Done, Completions.Wait(writer, 1)[7]);
        Assert.Equal(0, file.WritesHeld);
        AssertHolds(reader, slab, 32, version: 2);
    }

    [Fact]
    public void A_connection_can_end_while_it_holds_a_write()
    {
        using SmallFileSystem small = SmallFileSystem.Memory(MiB);
        using SpillFile file = new(small.Path, 1024 * MiB);
        using RawSpill raw = new(file);
        using FileStream filler = File.Create(Path.Combine(small.Path, "filler"));
        File.Delete(filler.Name);
        small.Detach();
        using PageBuffer pages = new(32);
        Assert.Equal(0, file.TryAllocate(128 * KiB, out ulong slab));
        raw.Punch(slab, 128 * KiB);
        Fill(filler);
        SpillConnection writer = new(file), reader = new(file);
        Assert.True(writer.TryPostWrite(1, slab, 0, 32, pages.Memory));
        writer.Submit();
        WaitFor(() => file.WritesHeld == 1);

        // Waits for the write, and does not keep its connection from ending.
        Assert.True(reader.TryPostRead(1, slab, 0, 1, pages.Memory));
        reader.Submit();
        reader.Dispose();
        writer.Dispose();
        Assert.Equal(0, file.WritesHeld);
        Assert.True(file.Free(slab));
        Assert.Equal(0, file.AllocatedBytes);
    }

    [Fact]
    public void A_device_that_promised_more_than_it_has_is_waited_for()
    {
        using SmallFileSystem under = SmallFileSystem.Memory(8 * MiB);
        using SmallFileSystem small = SmallFileSystem.OnDevice(under, 64 * MiB);
        using SpillFile file = new(small.Path, 1024 * MiB);
        small.Detach();
        using SpillConnection writer = new(file), reader = new(file);
        using PageBuffer pages = new(1);
        Assert.True(file.IsDirect);
        Assert.Equal(0, file.TryAllocate(32 * MiB, out ulong slab));

        // Page by page, and pages are blocks of the file system: a loop device that could write a part of a request says that it has written all of it.
        const uint Pages = 3000;
        DataCompletion[] completions = new DataCompletion[1];
        for (uint slot = 0; slot < Pages; slot++)
        {
            PageBuffer.Fill(pages.Memory, slot, 1);
            Assert.True(writer.TryPostWrite(slot, slab, slot, 1, pages.Memory));
            writer.Submit();
            int ended = 0;
            WaitFor(() => (ended = writer.Poll(completions)) > 0 || file.WritesHeld > 0);
            if (ended == 0)
            {
                under.Grow(64 * MiB);
                ended = Completions.Wait(writer, 1).Count;
            }

            Assert.Equal(1, ended);
        }

        Assert.Contains("errno 28", file.HeldReason);
        for (uint slot = 0; slot < Pages; slot++)
        {
            Assert.True(reader.TryPostRead(slot, slab, slot, 1, pages.Memory));
            reader.Submit();
            Assert.Equal(DataStatus.Done, Completions.Wait(reader, 1)[slot]);
            Assert.True(PageBuffer.Holds(pages.Memory, slot, 1), $"slot {slot}");
        }
    }

    [Fact]
    public void A_device_that_cannot_be_read_is_the_loss_of_pages_and_one_that_cannot_be_written_of_the_file()
    {
        using SmallFileSystem under = SmallFileSystem.Memory(96 * MiB);
        using SmallFileSystem small = SmallFileSystem.OnDevice(under, 64 * MiB);
        using SpillFile file = new(small.Path, 1024 * MiB);
        small.Detach();
        using SpillConnection writer = new(file), reader = new(file);
        using PageBuffer pages = new(256);
        Assert.Equal(0, file.TryAllocate(32 * MiB, out ulong slab));
        Write(writer, slab, pages, 256, version: 1);
        AssertHolds(reader, slab, 256, version: 1);

        small.BreakOff(MiB);
        foreach (ulong again in (ReadOnlySpan<ulong>)[1, 2])
        {
            Assert.True(reader.TryPostRead(again, slab, 0, 256, pages.Memory));
            reader.Submit();
            Assert.Equal(DataStatus.Lost, Completions.Wait(reader, 1)[again]);
        }

        Assert.Equal(256, file.PagesLost);
        Assert.False(reader.IsBroken);

        Assert.True(writer.TryPostWrite(1, slab, 0, 16, pages.Memory));
        writer.Submit();
        Assert.Equal(DataStatus.Disconnected, Completions.Wait(writer, 1)[1]);
        Assert.True(writer.IsBroken && reader.IsBroken);
        Assert.Contains("errno 5", writer.BreakReason);
        Assert.Contains(small.Path, reader.BreakReason);
        Assert.False(reader.TryPostRead(1, slab, 0, 1, pages.Memory));
        Assert.Equal(Errno.EIO, file.TryAllocate(MiB, out _));
    }

    private static void Fill(FileStream filler)
    {
        byte[] block = new byte[4 * KiB];
        try
        {
            while (true)
            {
                filler.Write(block);
                filler.Flush();
            }
        }
        catch (IOException)
        {
            // Full.
        }
    }

    private static void Write(SpillConnection connection, ulong slab, PageBuffer pages, int count, uint version)
    {
        for (int i = 0; i < count; i++)
        {
            PageBuffer.Fill(pages[i], (uint)i, version);
        }

        Assert.True(connection.TryPostWrite(1, slab, 0, count, pages.Memory));
        connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(connection, 1)[1]);
    }

    private static void AssertHolds(SpillConnection connection, ulong slab, int count, uint version)
    {
        using PageBuffer read = new(count);
        Assert.True(connection.TryPostRead(2, slab, 0, count, read.Memory));
        connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(connection, 1)[2]);
        for (int i = 0; i < count; i++)
        {
            Assert.True(PageBuffer.Holds(read[i], (uint)i, version), $"slot {i}");
        }
    }

    private static void WaitFor(Func<bool> state)
    {
        long started = Stopwatch.GetTimestamp();
        while (!state())
        {
            Assert.True(Stopwatch.GetElapsedTime(started).TotalSeconds < 20, "did not come in time");
            _ = Thread.Yield();
        }
    }
}
