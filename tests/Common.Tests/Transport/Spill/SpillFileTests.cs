using System.Collections.Concurrent;
using System.Diagnostics;
using Hecatonchire.Interop;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Spill;
using Hecatonchire.Units;
using Microsoft.Win32.SafeHandles;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>Where the file is, what it takes of the disk, and what becomes of it.</summary>
public sealed unsafe class SpillFileTests : IDisposable
{
    private const long MiB = 1 << 20;
    private readonly SpillDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData("heca.spill")]
    public void The_file_has_no_name_and_is_nobody_elses(string name)
    {
        using SpillFile file = new(Path.Combine(_directory.Path, name), 16 * MiB);
        using RawSpill raw = new(file);
        Assert.True(_directory.IsEmpty);
        Assert.Equal(0, raw.Links);
        Assert.Equal(0x8180, raw.Mode);

        // Nor is another start in its way.
        using SpillFile other = new(Path.Combine(_directory.Path, name), 16 * MiB);
        Assert.Equal(0, other.TryAllocate(MiB, out _));
        Assert.Equal(0, file.AllocatedBytes);
    }

    [Fact]
    public void Where_a_file_must_have_a_name_it_is_gone_at_once()
    {
        using SafeFileHandle? file = SpillOpening.OpenNamed(_directory.Path, direct: true, out int errno);
        Assert.Equal(0, errno);
        Assert.NotNull(file);
        Assert.True(_directory.IsEmpty);
    }

    [Fact]
    public void What_is_there_already_is_not_touched()
    {
        string path = Path.Combine(_directory.Path, "precious");
        File.WriteAllText(path, "");
        SpillException refused = Assert.Throws<SpillException>(() => new SpillFile(path, MiB));
        Assert.Contains("is there already", refused.Message);
        Assert.Contains(path, refused.Message);
        Assert.True(File.Exists(path));
        File.Delete(path);
    }

    [Fact]
    public void Where_no_file_can_be_the_message_says_so()
    {
        string nowhere = Path.Combine(_directory.Path, "no", "file");
        Assert.Contains("there is no directory", Assert.Throws<SpillException>(() => new SpillFile(nowhere, MiB)).Message);
        Assert.Contains("no file can be made in /proc", Assert.Throws<SpillException>(() => new SpillFile("/proc", MiB)).Message);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-MiB)]
    [InlineData(SpillFile.SlabBytesMin / 2)]
    [InlineData(SpillFile.SlabBytesMax * 2)]
    [InlineData(3 * MiB)]
    public void A_slab_of_an_impossible_size_is_not_allocated(long bytes)
    {
        using SpillFile file = new(_directory.Path, long.MaxValue);
        Assert.Equal(Errno.EINVAL, file.TryAllocate(bytes, out _));
        Assert.Equal(0, file.AllocatedBytes);
    }

    [Fact]
    public void No_more_is_taken_than_the_bound()
    {
        using SpillFile file = new(_directory.Path, (3 * MiB) - 1);
        Assert.Equal(0, file.TryAllocate(MiB, out ulong first));
        Assert.Equal(Errno.ENOSPC, file.TryAllocate(2 * MiB, out _));
        Assert.Equal(0, file.TryAllocate(MiB, out _));
        Assert.Equal(Errno.ENOSPC, file.TryAllocate(MiB, out _));
        Assert.True(file.Free(first));
        Assert.False(file.Free(first));
        Assert.Equal(MiB, file.AllocatedBytes);
        Assert.Equal(0, file.TryAllocate(MiB, out _));
    }

    [Fact]
    public void Slabs_freed_by_several_threads_are_to_be_had_again_and_never_twice()
    {
        const int Freers = 3;
        using SpillFile file = new(_directory.Path, 8 * MiB);
        BlockingCollection<ulong> toFree = [];
        Thread[] freers = [.. Enumerable.Range(0, Freers).Select(number => new Thread(() =>
        {
            foreach (ulong slab in toFree.GetConsumingEnumerable())
            {
                _ = file.Free(slab);
            }
        }) { Name = $"freer {number}" })];
        Array.ForEach(freers, freer => freer.Start());
        Dictionary<long, ulong> live = [];
        for (int i = 0; i < 3000; i++)
        {
            if (file.TryAllocate(SpillFile.SlabBytesMin, out ulong slab) == 0)
            {
                live.Add(RawSpill.OffsetOf(file, slab), slab);
            }

            if (live.Count > 40)
            {
                (long offset, ulong oldest) = live.First();
                _ = live.Remove(offset);
                toFree.Add(oldest);
            }
        }

        toFree.CompleteAdding();
        Array.ForEach(freers, freer => freer.Join());
        Assert.Equal(live.Count * SpillFile.SlabBytesMin, file.AllocatedBytes);
        while (file.TryAllocate(SpillFile.SlabBytesMin, out ulong slab) == 0)
        {
            live.Add(RawSpill.OffsetOf(file, slab), slab);
        }

        Assert.Equal(8 * MiB, live.Count * SpillFile.SlabBytesMin);
    }

    [Fact]
    public void Blocks_are_reserved_with_a_slab_and_given_back_with_it()
    {
        using SpillFile file = new(_directory.Path, 64 * MiB);
        using RawSpill raw = new(file);
        long empty = raw.Blocks;
        Assert.InRange(empty, 0, MiB / 4);
        Assert.Equal(0, file.TryAllocate(8 * MiB, out ulong first));
        Assert.Equal(0, file.TryAllocate(4 * MiB, out ulong second));
        Assert.InRange(raw.Blocks - empty, 12 * MiB, 13 * MiB);
        Assert.True(file.Free(first));
        Assert.InRange(raw.Blocks - empty, 4 * MiB, 5 * MiB);
        Assert.True(file.Free(second));
        Assert.InRange(raw.Blocks - empty, 0, MiB);
    }

    [Fact]
    public void What_is_spilled_takes_no_memory_in_the_page_cache()
    {
        using SpillFile file = new(_directory.Path, 64 * MiB);
        Capability.Require("direct", file.IsDirect, $"the file system of {_directory.Path} has no O_DIRECT");
        using RawSpill raw = new(file);
        using SpillConnection connection = new(file);
        using PageBuffer pages = new(256);
        Assert.Equal(0, file.TryAllocate(MiB, out ulong slab));
        Assert.True(connection.TryPostWrite(1, slab, 0, 256, pages.Memory));
        connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(connection, 1)[1]);
        Assert.True(connection.TryPostRead(2, slab, 0, 256, pages.Memory));
        connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(connection, 1)[2]);
        Assert.Equal(0, raw.PagesCached(slab, 256));
        _ = raw.Read(slab, 0, 256);
        Assert.Equal(256, raw.PagesCached(slab, 256));
    }

    [Fact]
    public void A_limit_on_the_size_of_files_refuses_a_slab_and_does_not_end_the_process()
    {
        using SpillFile file = new(_directory.Path, long.MaxValue);
        SetFileSizeMax("536870912");
        try
        {
            Assert.Equal(Errno.EFBIG, file.TryAllocate(1024 * MiB, out _));
        }
        finally
        {
            SetFileSizeMax("unlimited");
        }

        Assert.Equal(0, file.AllocatedBytes);
    }

    [Fact]
    public void A_slab_freed_under_requests_takes_them_along_and_no_others()
    {
        using SpillFile file = new(_directory.Path, 64 * MiB);
        using SpillConnection connection = new(file);
        using PageBuffer pages = new(200);
        Assert.Equal(0, file.TryAllocate(MiB, out ulong slab));
        Assert.Equal(0, file.TryAllocate(MiB, out ulong other));
        for (int i = 0; i < 200; i++)
        {
            Assert.True(connection.TryPostWrite((ulong)i, slab, (uint)i, 1, pages[i]));
        }

        Assert.True(file.Free(slab));
        Assert.Equal(2 * MiB, file.AllocatedBytes);
        connection.Submit();
        Assert.All(Completions.Wait(connection, 200).Values, status => Assert.Equal(DataStatus.Done, status));
        Assert.Equal(MiB, file.AllocatedBytes);

        Assert.True(connection.TryPostWrite(1, other, 0, 1, pages[0]));
        connection.Submit();
        Assert.Equal(DataStatus.Done, Completions.Wait(connection, 1)[1]);
        Assert.True(connection.TryPostWrite(2, slab, 0, 1, pages[0]));
        connection.Submit();
        Assert.Equal(DataStatus.Refused, Completions.Wait(connection, 1)[2]);
        Assert.Contains("what is not there", connection.BreakReason);
    }

    [Fact]
    public void A_connection_outlives_its_file()
    {
        using SpillFile file = new(_directory.Path, 64 * MiB);
        using SpillConnection connection = new(file);
        using PageBuffer pages = new(100);
        Assert.Equal(0, file.TryAllocate(MiB, out ulong slab));
        for (int i = 0; i < 100; i++)
        {
            Assert.True(connection.TryPostWrite((ulong)i, slab, (uint)i, 1, pages[i]));
        }

        file.Dispose();
        connection.Submit();
        Assert.All(Completions.Wait(connection, 100).Values, status => Assert.Equal(DataStatus.Done, status));
        Assert.Equal(Errno.EIO, file.TryAllocate(MiB, out _));
    }

    [Fact]
    public void A_connection_can_end_with_requests_in_flight()
    {
        using SpillFile file = new(_directory.Path, 64 * MiB);
        using PageBuffer pages = new(256);
        Assert.Equal(0, file.TryAllocate(16 * MiB, out ulong slab));
        for (int round = 0; round < 20; round++)
        {
            SpillConnection connection = new(file);
            for (int i = 0; i < 64; i++)
            {
                Assert.True(connection.TryPostWrite((ulong)i, slab, (uint)i * 4, 4, pages[i * 4]));
                if (i == round * 3)
                {
                    connection.Submit();
                }
            }

            connection.Dispose();
            Assert.True(connection.IsBroken);
            Assert.Equal(0, connection.Poll(new DataCompletion[8]));
        }

        Assert.True(file.Free(slab));
        Assert.Equal(0, file.AllocatedBytes);
    }

    [Fact]
    public void A_device_that_fails_breaks_both_connections_and_lends_nothing()
    {
        using SpillFile file = new(_directory.Path, 64 * MiB);
        using SpillConnection reader = new(file), writer = new(file);
        file.Fail("first");
        file.Fail("second");
        Assert.True(reader.IsBroken && writer.IsBroken);
        Assert.Equal("first", reader.BreakReason);
        Assert.Equal(Errno.EIO, file.TryAllocate(MiB, out _));
    }

    private static void SetFileSizeMax(string bytes)
    {
        using Process process = Process.Start("prlimit", ["--pid", $"{Environment.ProcessId}", $"--fsize={bytes}:"]);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
