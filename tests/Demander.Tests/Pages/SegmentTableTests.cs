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
            segment.Touch(page);
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

    [Fact]
    public void A_tebibyte_that_grows_and_shrinks_takes_memory_for_what_is_touched()
    {
        const long Pages = 1L << 28;
        long before = Resident();
        using Segment segment = Segment.Create(0, 1UL << 40, Pages);
        for (long page = 0; page < Pages; page += Pages / 64)
        {
            segment.Touch(page);
            segment.Entries[page].Slot = page;
            segment.Hashes[page] = (ulong)page;
        }

        for (int round = 0; round < 4; round++)
        {
            segment.Resize(4 * Pages);
            segment.Resize(Pages);
        }

        for (long page = segment.NextTouched(0, Pages), expected = 0; page < Pages; page = segment.NextTouched(page + TouchedPages.GroupPages, Pages), expected += Pages / 64)
        {
            Assert.Equal((expected, expected, (ulong)expected), (page, segment.Entries[page].Slot, segment.Hashes[page]));
        }

        // Others of this process take some too; copied tables would be 4 GiB.
        Assert.InRange(Resident() - before, long.MinValue, 256L << 20);
    }

    private static long Resident() => long.Parse(
        File.ReadLines("/proc/self/status").First(line => line.StartsWith("RssAnon:", StringComparison.Ordinal)).Split(':')[1].Replace("kB", "", StringComparison.Ordinal),
        System.Globalization.CultureInfo.InvariantCulture) << 10;

    [Fact]
    public void Touched_pages_are_found_as_in_a_plain_set()
    {
        var random = new Random(11);
        using var touched = new TouchedPages();
        long pages = 1_000_000;
        touched.EnsureCapacity(pages);
        var groups = new SortedSet<long>();
        for (int i = 0; i < 3000; i++)
        {
            long page = random.NextInt64(pages), group = page / TouchedPages.GroupPages;
            switch (random.Next(40))
            {
                case 0:
                    pages += random.Next(100_000);
                    touched.EnsureCapacity(pages);
                    break;
                case 1:
                    long first = pages - random.Next(100_000);
                    touched.Clear(first, pages);
                    _ = groups.RemoveWhere(known => known * TouchedPages.GroupPages >= first);
                    break;
                case < 20:
                    touched.Add(page);
                    _ = groups.Add(group);
                    break;
                default:
                    long end = random.NextInt64(page, pages + 1);
                    long expected = groups.Contains(group) ? page : groups.GetViewBetween(group + 1, long.MaxValue).Select(next => next * TouchedPages.GroupPages).FirstOrDefault(long.MaxValue);
                    Assert.Equal(Math.Min(expected, end), touched.Next(page, end));
                    Assert.Equal(groups.Contains(group), touched.Has(page));
                    break;
            }
        }
    }
}
