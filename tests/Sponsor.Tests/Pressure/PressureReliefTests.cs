using Hecatonchire.Sponsor.Pressure;
using Hecatonchire.Sponsor.Slabs;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Hecatonchire.Tests.Pressure;

/// <summary>With the kernel's files as text: what it does with real pressure, a check in a virtual machine shows.</summary>
public sealed class PressureReliefTests : IDisposable
{
    private const long MiB = 1L << 20;

    private static readonly Guid Alice = Guid.NewGuid();

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-test-psi-").FullName;
    private readonly ManualTime _time = new();
    private readonly SlabStore _store;
    private long _hostStalledUs;
    private long _groupStalledUs;

    public PressureReliefTests()
    {
        _store = new SlabStore(new SlabStoreOptions { OfferedBytes = 1024 * MiB }, _time);
        Assert.Null(_store.Greet(Alice, "alice"));
        Write(availableKb: 100_000);
    }

    public void Dispose()
    {
        _store.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void A_host_whose_programs_wait_gets_memory_back_step_by_step_and_lends_again_later()
    {
        PressureRelief relief = Start(ownGroup: false);
        Allocate(512 * MiB);
        Pass(relief, hostShare: 0.05);
        Assert.Equal(0, _store.ReclaimBytes(Alice));
        Pass(relief, hostShare: 0.5);
        Assert.Equal(64 * MiB, _store.ReclaimBytes(Alice));
        Pass(relief, hostShare: 0.5);
        Pass(relief, hostShare: 0.5);

        // No further ahead of who has to give it than two steps.
        Assert.Equal(128 * MiB, _store.ReclaimBytes(Alice));
        for (int seconds = 0; seconds < 19; seconds++)
        {
            Pass(relief, hostShare: 0);
            Assert.Equal(128 * MiB, _store.ReclaimBytes(Alice));
        }

        for (int seconds = 0; seconds < 20 * 20; seconds++)
        {
            Pass(relief, hostShare: 0.01);
        }

        Assert.Equal((0, 1024 * MiB), (_store.ReclaimBytes(Alice), _store.OfferedBytes));
    }

    [Fact]
    public void A_host_with_memory_left_is_not_short_however_long_a_program_of_a_small_group_waits()
    {
        PressureRelief relief = Start(ownGroup: true);
        Allocate(512 * MiB);
        Write(availableKb: 500_000);
        Pass(relief, hostShare: 0.9);
        Assert.Equal(0, _store.ReclaimBytes(Alice));
        Pass(relief, hostShare: 0.9, groupShare: 0.5);
        Assert.Equal(64 * MiB, _store.ReclaimBytes(Alice));
    }

    [Fact]
    public void Zero_percent_is_never()
    {
        PressureRelief relief = Start(ownGroup: false, stallShareMax: 0);
        Allocate(512 * MiB);
        Pass(relief, hostShare: 1);
        Assert.Equal(0, _store.ReclaimBytes(Alice));
    }

    [Theory]
    [InlineData("some avg10=0.00 avg60=0.00 avg300=0.00 total=2197\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=17\n", 2197)]
    [InlineData("some avg10=0.00 total=", -1)]
    [InlineData("full avg10=0.00 avg60=0.00 avg300=0.00 total=17\n", -1)]
    [InlineData("", -1)]
    public void The_kernels_line_is_understood(string text, long expected) =>
        Assert.Equal(expected, StallMeter.ParseTotal(System.Text.Encoding.ASCII.GetBytes(text)));

    [Fact]
    public void A_kernel_that_tells_nothing_is_not_asked() =>
        Assert.False(new StallMeter(Path.Combine(_directory, "none"), Path.Combine(_directory, "none"), null, _time).IsAble);

    private PressureRelief Start(bool ownGroup, double stallShareMax = 0.1) => new(
        _store,
        new StallMeter(Path.Combine(_directory, "host"), Path.Combine(_directory, "meminfo"), ownGroup ? Path.Combine(_directory, "group") : null, _time),
        new PressureReliefOptions { StallShareMax = stallShareMax },
        _time,
        NullLogger<PressureRelief>.Instance);

    private void Allocate(long bytes) => Assert.Null(_store.TryAllocate(Alice, bytes, out _));

    private void Pass(PressureRelief relief, double hostShare, double groupShare = 0)
    {
        _hostStalledUs += (long)(hostShare * 1_000_000);
        _groupStalledUs += (long)(groupShare * 1_000_000);
        WriteTotals();
        _time.Advance(TimeSpan.FromSeconds(1));
        relief.Look();
    }

    private void Write(long availableKb)
    {
        File.WriteAllText(Path.Combine(_directory, "meminfo"), $"MemTotal:        2000000 kB\nMemFree:          50000 kB\nMemAvailable:     {availableKb} kB\n");
        WriteTotals();
    }

    private void WriteTotals()
    {
        File.WriteAllText(Path.Combine(_directory, "host"), $"some avg10=0.00 avg60=0.00 avg300=0.00 total={_hostStalledUs}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
        File.WriteAllText(Path.Combine(_directory, "group"), $"some avg10=0.00 avg60=0.00 avg300=0.00 total={_groupStalledUs}\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
    }
}
