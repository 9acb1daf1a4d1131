using Hecatonchire.Install;
using Hecatonchire.Interop;
using Hecatonchire.Pages;
using Xunit;

namespace Hecatonchire.Tests.Pages;

public sealed unsafe class PageTableFileTests
{
    [Fact]
    public void Another_pager_reads_what_was_written()
    {
        using PageTableFile file = PageTableFile.Create();
        (Guid demander, Guid instance) = (Guid.NewGuid(), Guid.NewGuid());
        file.Demander = demander;
        file.Sponsors[63] = instance;
        file.WriteReplicas(77, [(0, 5), (63, 6)]);
        file.WriteReplicas(77, [(63, 6), (2, 9)]);
        file.Slabs[6] = 77;
        file.Slabs[7] = 64;
        file.NoteFork();
        using var first = Segment.Create(0, 0x1000_0000, 1000, file);
        using var second = Segment.Create(3, 0x9000_0000, 10, file);
        for (int page = 0; page < 1000; page++)
        {
            first.Touch(page);
            first.Entries[page].Restore(PageState.Remote, page * 2, 0);
            first.Hashes[page] = (ulong)page * 3;
        }

        // Its table moves, and the one behind it stays.
        first.Resize(1_000_000);
        second.Entries[9].Restore(PageState.Leaving, PageEntry.NoSlot, 5);

        using PageTableFile read = PageTableFile.Open(file.Descriptor);
        Assert.Equal((demander, instance), (read.Demander, read.Sponsors[63]));
        Assert.Equal([(2, 9UL), (63, 6UL)], read.ReplicasOf(77).Order());
        Assert.Empty(read.ReplicasOf(76));
        Assert.Equal((77UL, 64UL), (read.Slabs[6], read.Slabs[7]));
        Assert.True(read.HasUntold);
        Assert.Equal([(0, 0x1000_0000UL, 1_000_000L), (3, 0x9000_0000UL, 10L)], read.Segments);
        PageTables tables = read.Tables(0);
        for (int page = 0; page < 1000; page++)
        {
            Assert.Equal((PageState.Remote, page * 2L, (ulong)page * 3), (tables.Entries[page].State, tables.Entries[page].Slot, tables.Hashes[page]));
        }

        Assert.Equal(PageState.Untouched, tables.Entries[999_999].State);
        Assert.Equal(5, read.Tables(3).Entries[9].Index);
    }

    [Fact]
    public void A_segment_that_is_gone_is_not_found_and_its_number_is_as_new()
    {
        using PageTableFile file = PageTableFile.Create();
        var segment = Segment.Create(0, 0x1000_0000, 10, file);
        segment.Touch(3);
        segment.Entries[3].Restore(PageState.Remote, 1, 0);
        segment.Dispose();
        Assert.Empty(file.Segments);

        using var next = Segment.Create(0, 0x2000_0000, 10, file);
        Assert.Equal(PageState.Untouched, next.Entries[3].State);
    }

    [Fact]
    public void What_is_kept_for_another_pager_stays_when_this_one_lets_go_of_it()
    {
        using PageTableFile file = PageTableFile.Create();
        file.InheritedPages = 7;
        var segment = Segment.Create(2, 0x1000_0000, 10, file);
        segment.Entries[3].Restore(PageState.Remote, 1, 0);
        file.IsKept = true;
        segment.Dispose();

        using PageTableFile read = PageTableFile.Open(file.Descriptor);
        Assert.Equal([(2, 0x1000_0000UL, 10L)], read.Segments);
        Assert.Equal((PageState.Remote, 1L, 7L), (read.Tables(2).Entries[3].State, read.Tables(2).Entries[3].Slot, read.InheritedPages));
    }

    [Fact]
    public void A_segment_keeps_its_name_and_what_it_is_being_changed_to()
    {
        using PageTableFile file = PageTableFile.Create();
        var identity = new SegmentIdentity { Id = Guid.NewGuid(), ReservePages = 1 << 20, ResizedFrom = 10, ResizedTo = 4 };
        using var segment = Segment.Create(4095, 0x1000_0000, 10, file, in identity);
        using var other = Segment.Create(4094, 0x9000_0000, 10, file);
        using PageTableFile read = PageTableFile.Open(file.Descriptor);
        Assert.Equal(identity, read.Identities[4095]);
        Assert.NotEqual(Guid.Empty, read.Identities[4094].Id);
    }

    [Fact]
    public void What_was_never_touched_takes_no_memory_whatever_is_done_with_the_segment()
    {
        const long Pages = 1L << 28;
        using PageTableFile file = PageTableFile.Create();
        using var segment = Segment.Create(0, 1UL << 40, Pages, file);
        for (long page = 5; page < Pages; page += Pages / 16)
        {
            segment.Touch(page);
            segment.Entries[page].Restore(PageState.Remote, page, 0);
        }

        segment.Resize(2 * Pages);
        Assert.Equal(Pages - (Pages / 16), segment.NextTouched(Pages - (Pages / 16) - 2000, 2 * Pages));
        Assert.Equal(2 * Pages, segment.NextTouched(Pages - (Pages / 16) + TouchedPages.GroupPages, 2 * Pages));
        Assert.Equal(PageState.Remote, segment.Entries[5].State);
        using PageTableFile read = PageTableFile.Open(file.Descriptor);
        Assert.InRange(read.NextWithData(0, 0), 0, 5);
        Assert.InRange(read.NextWithData(0, 4096), (Pages / 16) - 512, (Pages / 16) + 5);
        Assert.Equal(2 * Pages, read.NextWithData(0, Pages));
        Assert.InRange(BlocksOf(file), 0, 4L << 20);

        // What a segment leaves is another's: a file that is sealed gives nothing back.
        segment.Dispose();
        using var next = Segment.Create(0, 1UL << 40, 2 * Pages, file);
        Assert.Equal(PageState.Untouched, next.Entries[5].State);
        Assert.InRange(BlocksOf(file), 0, 4L << 20);
    }

    /// <summary>What it takes of memory: st_blocks of struct stat.</summary>
    private static long BlocksOf(PageTableFile file)
    {
        ulong* status = stackalloc ulong[32];
        Assert.Equal(0, Libc.FileStatus(file.Descriptor, status));
        return (long)status[8] * 512;
    }

    [Fact]
    public void The_program_can_read_it_and_not_write_it()
    {
        using PageTableFile file = PageTableFile.Create();
        int descriptor = file.OpenForProgram();
        Assert.True(descriptor >= 0);
        Assert.Equal(-1, (nint)Libc.Map(null, 4096, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, descriptor, 0));

        // Nor by opening it anew.
        int again = Libc.Open($"/proc/self/fd/{descriptor}", Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        Assert.Equal(-1, again < 0 ? -1 : (nint)Libc.Map(null, 4096, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, again, 0));
        Assert.NotEqual(0, Libc.Truncate(again, 0));

        using PageTableFile read = PageTableFile.Open(descriptor);
        Assert.Equal(file.Identity, PageTableFile.IdentityOf(descriptor));
        Assert.NotEqual(file.Identity, PageTableFile.IdentityOf(0));
        _ = Libc.Close(descriptor);
        _ = Libc.Close(again);
    }

    [Fact]
    public void What_is_no_such_file_is_refused()
    {
        int descriptor = Libc.MemoryFile("heca-test", Libc.MFD_CLOEXEC);
        _ = Assert.Throws<InvalidDataException>(() => PageTableFile.Open(descriptor));
        Assert.Equal(0, Libc.Truncate(descriptor, 4 << 20));
        _ = Assert.Throws<InvalidDataException>(() => PageTableFile.Open(descriptor));
        _ = Libc.Close(descriptor);
    }

    [Fact]
    public void A_damaged_segment_is_refused()
    {
        using PageTableFile file = PageTableFile.Create();
        using var segment = Segment.Create(0, 0x1000_0000, 10, file);
        byte* memory = NativeMemoryMapOf(file);
        ulong* record = Find(memory, 0x1000_0000);
        record[2] = 1UL << 60;
        _ = Assert.Throws<InvalidDataException>(() => file.Segments.Count());
        record[2] = 0;
    }

    /// <summary>Its memory starts a page before the one for messages.</summary>
    private static byte* NativeMemoryMapOf(PageTableFile file) => file.Messages - 4096;

    private static ulong* Find(byte* memory, ulong address)
    {
        var words = (ulong*)memory;
        while (*words != address)
        {
            words++;
        }

        return words;
    }

    [Fact]
    public void What_the_kernel_has_told_is_read_until_it_is_carried_out()
    {
        using var file = PageTableFile.Create();
        file.NoteChange(Change(FaultKind.Unmapped, 0x1000), isMessage: true);
        file.NoteChange(Change(FaultKind.Remapped, 0x8000), isMessage: true);
        Assert.Equal(2, file.MessagesNoted);
        file.ForgetMessages();
        file.NoteChange(Change(FaultKind.Removed, 0x3000), isMessage: true);
        file.FinishChange();
        file.NoteCursor(0x9000 | PageTableFile.IsMoving);

        using var read = PageTableFile.Open(file.Descriptor);
        Assert.Equal(1, read.MessagesNoted);
        Assert.False(read.HasUntold);
        Assert.Equal([(FaultKind.Remapped, 0x9001UL), (FaultKind.Removed, 0x3000UL)], read.Changes.Select(change => (change.Kind, change.Cursor)));
        file.FinishChange();
        file.FinishChange();
        file.FinishChange();
        Assert.Empty(read.Changes);
    }

    [Fact]
    public void More_changes_than_there_is_place_for_are_known_to_be_missing_until_all_are_carried_out()
    {
        using var file = PageTableFile.Create();
        for (int i = 0; i <= PageTableFile.ChangesMax; i++)
        {
            Assert.False(file.HasUntold);
            file.NoteChange(Change(FaultKind.Removed, (ulong)(i + 1) << 12), isMessage: true);
        }

        file.FinishChange();
        Assert.True(file.HasUntold);
        file.FinishChanges();
        Assert.False(file.HasUntold);
        Assert.Empty(file.Changes);
    }

    [Fact]
    public void What_was_placed_is_written_down_until_it_is_forgotten()
    {
        using var file = PageTableFile.Create();
        AddressRange[] placed = [new(0x1000, 0x2000), new(0x5000, 0x9000)];
        file.WritePlaced(placed.AsSpan(0, 1));
        file.WritePlaced(placed);
        Assert.Equal(placed, file.Placed);
        file.WritePlaced([new(0x1000, 0xA000)]);
        Assert.Equal([new AddressRange(0x1000, 0xA000)], file.Placed);
        file.WritePlaced([]);
        Assert.Empty(file.Placed);
    }

    private static LeftChange Change(FaultKind kind, ulong start) => new() { Kind = kind, Start = start, End = start + 0x2000, Target = 0x7000_0000, Cursor = start };
}
