using Hecatonchire.Pages;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Pages;

public unsafe class SegmentTableTests
{
    [Fact]
    public void It_finds_what_a_plain_list_finds()
    {
        var random = new Random(7);
        using var table = new SegmentTable();
        var model = new List<Segment>();
        for (int i = 0; i < 2000; i++)
        {
            // Places of 64 pages each: segments never overlap, and often touch.
            ulong place = (ulong)random.Next(40);
            ulong address = 0x1000_0000 + (place << (6 + PageSize.Shift));
            Segment? known = model.Find(segment => segment.Address == address);
            if (known is null)
            {
                Segment segment = Segment.Create(table.FreeNumber(), address, random.Next(1, 65));
                table.Add(segment);
                model.Add(segment);
            }
            else if (random.Next(2) == 0)
            {
                table.Resize(known, random.Next(1, 65));
            }
            else
            {
                table.Remove(known);
                known.Dispose();
                _ = model.Remove(known);
            }

            Assert.Equal(model.Count, table.Count);
            Assert.Equal(model.Sum(segment => segment.Pages), table.TotalPages);
            ulong looked = 0x1000_0000 + ((ulong)random.Next(41 * 64) << PageSize.Shift) + (ulong)random.Next(PageSize.Bytes);
            Assert.Same(model.Find(segment => looked >= segment.Address && looked < segment.End), table.Find(looked));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Growing_keeps_the_entries_and_adds_untouched_ones(bool inMemoryFile)
    {
        using PageTableFile? file = inMemoryFile ? PageTableFile.Create() : null;
        using Segment segment = Segment.Create(0, 0x1000_0000, 1000, file);
        for (int page = 0; page < 1000; page++)
        {
            segment.Entries[page].Slot = page * 3;
            segment.Hashes[page] = (ulong)page * 5;
        }

        segment.Resize(5000);
        for (int page = 0; page < 5000; page++)
        {
            Assert.Equal(page < 1000 ? page * 3 : PageEntry.NoSlot, segment.Entries[page].Slot);
            Assert.Equal(page < 1000 ? (ulong)page * 5 : 0, segment.Hashes[page]);
        }
    }
}
