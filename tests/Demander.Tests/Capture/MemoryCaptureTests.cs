using Hecatonchire.Capture;
using Hecatonchire.Install;
using Hecatonchire.Interop;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Hecatonchire.Tests.Capture;

/// <summary>When memory is captured, and which; the program is a few numbers.</summary>
public sealed class MemoryCaptureTests : IDisposable
{
    private const ulong MiB = 1UL << 20;
    private const long PagesPerMiB = 256;

    private readonly Program _program = new() { BoundMiB = 256 };
    private readonly MemoryCapture _capture;

    public MemoryCaptureTests() => _capture = new MemoryCapture(_program, new CaptureRules(), NullLogger.Instance);

    public void Dispose() => _capture.Dispose();

    [Fact]
    public void A_program_that_stays_below_its_bound_is_left_alone()
    {
        _program.Map(16 * MiB, 300);
        foreach (long resident in (long[])[0, 10, 100, 220, 30])
        {
            _program.AnonymousMiB = resident;
            Assert.InRange(_capture.Step(), 1, 50);
        }

        Assert.False(_capture.IsCapturing);
        Assert.Empty(_program.Captured);
        Assert.Empty(_program.Measured);
    }

    [Fact]
    public void The_nearer_the_bound_the_sooner_the_next_look()
    {
        _program.AnonymousMiB = 10;
        Assert.Equal(50, _capture.Step());
        _program.AnonymousMiB = 220;
        Assert.InRange(_capture.Step(), 1, 2);
        Assert.True(_program.SlotsAsked > 0, "slots are got before the bound is met");
    }

    [Fact]
    public void Where_the_kernel_would_kill_the_first_look_is_over_before_the_program_goes_on()
    {
        _program.Map(16 * MiB, 40);
        _program.IsStrict = true;
        _capture.Start();
        Assert.True(_capture.IsCapturing);
        Assert.Equal([new AddressRange(16 * MiB, 56 * MiB)], _program.Captured);
    }

    [Fact]
    public void Near_the_bound_everything_eligible_is_captured_and_the_rest_measured()
    {
        _program.Map(16 * MiB, 200);
        _program.Map(1024 * MiB, 40, name: "[heap]");
        _program.Map(2048 * MiB, 8, name: "[stack]");
        _program.AnonymousMiB = 230;
        _ = _capture.Step();

        Assert.True(_capture.IsCapturing);
        Assert.Equal(
            [new AddressRange(16 * MiB, 216 * MiB), new AddressRange(1024 * MiB, 1064 * MiB)], _program.Captured);

        // 240 MiB in hand by now, of 230 that were resident: nothing is outside.
        Assert.Equal((0, false), _program.Measured[^1]);
    }

    [Fact]
    public void What_is_mapped_later_is_captured_once_it_has_become_resident_in_some_amount()
    {
        _program.Map(16 * MiB, 240);
        _program.AnonymousMiB = 240;
        _ = _capture.Step();
        _program.Map(4096 * MiB, 64);
        _program.AnonymousMiB = 243;
        _ = _capture.Step();
        Assert.Single(_program.Captured);

        _program.AnonymousMiB = 240 + 12;
        Assert.InRange(_capture.Step(), 1, 25);
        Assert.Equal(new AddressRange(4096 * MiB, 4160 * MiB), _program.Captured[^1]);
    }

    [Fact]
    public void Where_the_kernel_kills_memory_is_captured_before_it_is_filled()
    {
        _program.IsStrict = true;
        _program.AnonymousMiB = 2;
        _program.Map(16 * MiB, 4);
        Assert.Equal(25, _capture.Step());
        Assert.Single(_program.Captured);

        _program.Map(4096 * MiB, 64);
        Assert.Equal(25, _capture.Step());
        Assert.Equal(new AddressRange(4096 * MiB, 4160 * MiB), _program.Captured[^1]);

        // In half the time in which it could be full: 8 MiB, 1,000 pages in a millisecond.
        _program.AnonymousMiB = 248;
        Assert.Equal(1.024, _capture.Step());
    }

    [Fact]
    public void A_look_that_is_out_of_date_is_made_again()
    {
        _program.Map(16 * MiB, 240);
        _program.ChangesLeft = 3;
        _program.AnonymousMiB = 240;
        _ = _capture.Step();
        Assert.Single(_program.Captured);
        Assert.Equal(4, _program.Looks);
    }

    /// <summary>A look takes long on a host that is busy. What is filled meanwhile is not among the mappings that it knows, and may be all that ever comes.</summary>
    [Fact]
    public void What_was_mapped_and_filled_during_a_look_is_captured_by_the_next()
    {
        _program.Map(16 * MiB, 240);
        _program.AnonymousMiB = 240;
        _program.AfterMappings = () =>
        {
            _program.AfterMappings = null;
            _program.Map(4096 * MiB, 64);
            _program.AnonymousMiB += 64;
        };
        _ = _capture.Step();
        _ = _capture.Step();
        Assert.Equal(new AddressRange(4096 * MiB, 4160 * MiB), _program.Captured[^1]);
        int looks = _program.Looks;
        _ = _capture.Step();
        Assert.Equal(looks, _program.Looks);
    }

    [Fact]
    public void A_look_that_was_out_of_date_each_time_is_made_again_later()
    {
        _program.Map(16 * MiB, 240);
        _program.ChangesLeft = 17;
        _program.AnonymousMiB = 240;
        Assert.Equal(25, _capture.Step());
        Assert.Empty(_program.Captured);
        _ = _capture.Step();
        Assert.Single(_program.Captured);
    }

    [Fact]
    public void What_another_userfaultfd_has_is_tried_once()
    {
        _program.Map(16 * MiB, 240);
        _program.Refuses = 16 * MiB;
        _program.AnonymousMiB = 240;
        for (int i = 0; i < 5; i++)
        {
            _program.AnonymousMiB += 20;
            _ = _capture.Step();
        }

        Assert.Single(_program.Captured);
        Assert.Equal(240 + 100, _program.Measured[^1].OutsidePages / PagesPerMiB);
    }

    /// <summary>The program had unmapped it, of which nobody was told; the next time it maps there it is captured.</summary>
    [Fact]
    public void What_was_gone_when_it_was_to_be_captured_is_captured_when_it_is_there_again()
    {
        _program.Map(16 * MiB, 240);
        _program.IsGone = true;
        _program.AnonymousMiB = 240;
        _ = _capture.Step();
        Assert.Empty(_program.Captured);

        _program.IsGone = false;
        _program.AnonymousMiB = 260;
        _ = _capture.Step();
        Assert.Single(_program.Captured);
    }

    [Fact]
    public void A_sponsor_that_is_full_is_told()
    {
        _program.Map(16 * MiB, 240);
        _program.IsFull = true;
        _program.AnonymousMiB = 240;
        _ = _capture.Step();
        Assert.True(_program.Measured[^1].IsFull);
        _program.IsFull = false;
        _ = _capture.Step();
        Assert.False(_program.Measured[^1].IsFull);
    }

    /// <summary>Everything captured is at once in hand.</summary>
    private sealed class Program : ICapturedProgram
    {
        private readonly List<Mapping> _mappings = [];

        public long AnonymousMiB { get; set; }

        public long BoundMiB { get; init; }

        public int ChangesLeft { get; set; }

        public Action? AfterMappings { get; set; }

        public ulong Refuses { get; set; }

        public bool IsFull { get; set; }

        public bool IsGone { get; set; }

        public int Looks { get; private set; }

        public int SlotsAsked { get; private set; }

        public List<AddressRange> Captured { get; } = [];

        public List<(long OutsidePages, bool IsFull)> Measured { get; } = [];

        public long PagesInHand => Refuses != 0 ? 0 : Captured.Sum(range => range.Pages);

        public long PlaceChanges { get; private set; }

        public long SharedRounds => 0;

        public void Map(ulong start, ulong mib, string name = "") =>
            _mappings.Add(new Mapping(new AddressRange(start, start + (mib * MiB)), true, true, false, false, 0, name));

        public bool IsStrict { get; set; }

        public (long Mapped, long Anonymous) ReadPages() => (_mappings.Sum(mapping => mapping.Range.Pages), AnonymousMiB * PagesPerMiB);

        public long BoundPages(long anonymous) => BoundMiB * PagesPerMiB;

        public void ReadMappings(List<Mapping> mappings)
        {
            mappings.Clear();
            mappings.AddRange(_mappings);
            AfterMappings?.Invoke();
        }

        public void ReadKeptOut(List<AddressRange> ranges)
        {
            Looks++;
            if (ChangesLeft > 0)
            {
                ChangesLeft--;
                PlaceChanges++;
            }
        }

        public int FindRegistered(ulong address) =>
            Captured.Exists(range => address >= range.Start && address < range.End) && address != Refuses ? 0 : Errno.ENOENT;

        public int Capture(IReadOnlyList<AddressRange> ranges, long placeChanges)
        {
            if (placeChanges != PlaceChanges)
            {
                return -Errno.EAGAIN;
            }

            if (IsGone)
            {
                return -Errno.EINVAL;
            }

            Captured.AddRange(ranges);
            return ranges.Any(range => range.Start == Refuses) ? -Errno.EBUSY : 0;
        }

        public void Measure(long outsidePages, bool isSponsorFull) => Measured.Add((outsidePages, isSponsorFull));

        public bool EnsureFreeSlots()
        {
            SlotsAsked++;
            return !IsFull;
        }
    }
}
