using System.Diagnostics;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Spill;
using Hecatonchire.Transport.Striped;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Transport.Spill;

/// <summary>A spill file as one of the sponsors that stripes are on.</summary>
public sealed unsafe class StripedSpillTests : IDisposable
{
    private const uint Slots = 1024;
    private readonly SpillDirectory _directory = new();
    private readonly List<IDisposable> _open = [];
    private readonly uint[] _versions = new uint[Slots];

    public void Dispose()
    {
        for (int i = _open.Count - 1; i >= 0; i--)
        {
            _open[i].Dispose();
        }

        _directory.Dispose();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void A_stripe_moves_out_of_a_file_while_it_is_written_to(int seed)
    {
        bool isFilled = false;
        SponsorSet set = new(ReadPolicy.ServiceTime, silenceMsMax: 500);
        int from = Add(set, out SpillFile source), to = Add(set, out SpillFile target);
        using StripeCopier copier = new(set, UsedSlots) { OnFilled = (_, _) => isFilled = true };
        set.Copier = copier;
        Assert.Equal(0, source.TryAllocate(Slots << PageSize.Shift, out ulong slab));
        ulong stripe = set.Stripes.Add(Slots, [(from, slab)]);
        using PageBuffer pages = new(16);
        Random random = new(seed);
        for (uint slot = 0; slot < Slots; slot += 16)
        {
            Write(set, stripe, slot, 16, pages);
        }

        Assert.Equal(0, target.TryAllocate(Slots << PageSize.Shift, out ulong copy));
        Assert.True(set.TryFill(stripe, Slots, to, copy));
        long started = Stopwatch.GetTimestamp();
        while (!isFilled)
        {
            Assert.True(Stopwatch.GetElapsedTime(started).TotalSeconds < 20, $"seed {seed}: not filled in time");
            int run = random.Next(1, 17);
            Write(set, stripe, (uint)random.Next((int)Slots - run + 1), run, pages);
        }

        set.DropReplica(stripe, from);
        Assert.True(source.Free(slab));
        for (uint slot = 0; slot < Slots; slot += 16)
        {
            Assert.True(set.Reader.TryPostRead(slot, stripe, slot, 16, pages.Memory));
            Assert.Equal(DataStatus.Done, Run(set, set.Reader));
            for (int i = 0; i < 16; i++)
            {
                Assert.True(PageBuffer.Holds(pages[i], slot + (uint)i, _versions[slot + i]), $"seed {seed}: slot {slot + i}");
            }
        }

        Assert.False(set.Reader.IsBroken || set.Writer.IsBroken);
        Assert.Equal(0, source.PagesLost + target.PagesLost);
    }

    private static int UsedSlots(ulong stripe, uint from, int most, out uint first)
    {
        first = from;
        return (int)Math.Min(most, Slots - Math.Min(from, Slots));
    }

    private int Add(SponsorSet set, out SpillFile file)
    {
        file = new SpillFile(_directory.Path, 64 << 20);
        SpillConnection reader = new(file), writer = new(file);
        _open.AddRange([file, reader, writer]);
        return set.Add(reader, writer);
    }

    private void Write(SponsorSet set, ulong stripe, uint slot, int run, PageBuffer pages)
    {
        for (int i = 0; i < run; i++)
        {
            PageBuffer.Fill(pages[i], slot + (uint)i, ++_versions[slot + i]);
        }

        Assert.True(set.Writer.TryPostWrite(slot, stripe, slot, run, pages.Memory));
        Assert.Equal(DataStatus.Done, Run(set, set.Writer));
    }

    /// <summary>Both connections, as a pager drives them, until the request on one of them has ended.</summary>
    private static DataStatus Run(SponsorSet set, StripedConnection connection)
    {
        DataCompletion[] ended = new DataCompletion[1];
        long started = Stopwatch.GetTimestamp();
        int count = 0;
        while (count == 0)
        {
            Assert.True(Stopwatch.GetElapsedTime(started).TotalSeconds < 20, "a request did not end in time");
            set.Writer.Submit();
            set.Reader.Submit();
            StripedConnection other = connection == set.Reader ? set.Writer : set.Reader;
            Assert.Equal(0, other.Poll(ended));
            count = connection.Poll(ended);
            if (count == 0 && set.Copier is null or { IsBusy: false })
            {
                Completions.WaitForWork(connection);
            }
        }

        return ended[0].Status;
    }
}
