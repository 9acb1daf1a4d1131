using System.Diagnostics;
using System.Globalization;
using Hecatonchire.Pager;
using Hecatonchire.Prefetch;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>What the pager must not use: allocations on its paths, memory, and a core while there is nothing to do.</summary>
public class CostTests
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(60);

    [Fact]
    public void Faults_and_write_backs_allocate_nothing()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB");
        using Process program = paged.Start(Programs.Test, ["walk", "64", "4", "100000000"]);
        // The first thousands pay for the runtime's own set-up: just-in-time compilation and its bookkeeping. It goes on now and then (24
        // bytes, once, in 4 of 21 runs); what the pager allocates it allocates in every stretch.
        PagerSnapshot start, end = WaitFor(paged, snapshot => snapshot.HardFaults >= 20_000);
        long allocated;
        int stretches = 0;
        do
        {
            start = end;
            long before = paged.Host.PagerThreadAllocatedBytes;
            end = WaitFor(paged, snapshot => snapshot.HardFaults >= start.HardFaults + 100_000);
            allocated = paged.Host.PagerThreadAllocatedBytes - before;
        }
        while (allocated != 0 && ++stretches < 3);
        program.Kill();

        Assert.True(end.PagesOut > start.PagesOut + 50_000, "the walk wrote too little back for this to mean anything");
        Assert.Equal(0, allocated);
    }

    [Fact]
    public void The_pager_stays_within_128_MiB_beside_page_table_and_staging()
    {
        const long SegmentBytes = 1L << 30;
        const long MetadataBytes = SegmentBytes / 4096 * 24;
        const long StagingBytes = 16L << 20;
        using var sponsor = new SponsorProcess("1GiB");
        var start = new ProcessStartInfo(Programs.Heca) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (string argument in (string[])["run", "--sponsor", $"127.0.0.1:{sponsor.Endpoint.Port}", "--sponsor-key",
            sponsor.Endpoint.PublicKey, "--local", "128MiB", "--", Programs.Test, "idle", "1024"])
        {
            start.ArgumentList.Add(argument);
        }

        using Process heca = Process.Start(start)!;
        Assert.Equal("ready", heca.StandardOutput.ReadLine());
        long resident = StatusKib(heca.Id, "VmHWM:") << 10;
        long locked = StatusKib(heca.Id, "VmLck:") << 10;
        heca.StandardInput.WriteLine();

        Assert.Equal("ok", heca.StandardOutput.ReadLine());
        Assert.True(heca.WaitForExit(Deadline));
        Assert.True(Environment.UserName != "root" || locked > StagingBytes, "the pager's memory is not locked");
        Assert.InRange(resident, 1, (128L << 20) + MetadataBytes + StagingBytes);
    }

    [Fact]
    public void An_idle_pager_sleeps()
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB", PrefetchKind.Trend);
        using Process program = paged.Start(Programs.Test, ["idle", "64"]);
        Assert.Equal("ready", program.StandardOutput.ReadLine());

        // Asleep in epoll: the state of the thread, not a time, so that a busy machine does not matter.
        Assert.True(SpinWait.SpinUntil(() => PagerThreadState() == 'S', Deadline), "the pager thread does not sleep");
        program.StandardInput.WriteLine();

        Assert.Equal("ok", program.StandardOutput.ReadLine());
    }

    [Theory]
    [InlineData("")]
    [InlineData("copy")]
    public void Pages_that_were_only_read_are_dropped_without_a_write(string take)
    {
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB");
        using Process program = paged.Start(Programs.Test, ["idle", "64"], ("HECA_TAKE", take));
        Assert.Equal("ready", program.StandardOutput.ReadLine());
        PagerSnapshot before = paged.Host.Snapshot();
        program.StandardInput.WriteLine();

        Assert.Equal("ok", program.StandardOutput.ReadLine());
        PagerSnapshot after = paged.Host.Snapshot();
        Assert.Equal(before.PagesOut, after.PagesOut);
        Assert.True(after.PagesDropped >= before.PagesDropped + (56L << 8), $"{after.PagesDropped - before.PagesDropped} dropped");
    }

    /// <summary>While a program does not fault, what it has changed is written back ahead of need and stays.</summary>
    [Theory]
    [InlineData("")]
    [InlineData("copy")]
    public void Changed_pages_of_a_program_that_waits_are_written_back_and_leave_without_a_write_later(string take)
    {
        const long PagesInAll = 64L << 8;
        using var sponsor = new SponsorProcess("256MiB");
        using var paged = new PagedProgram(sponsor.Endpoint, "8MiB");
        using Process program = paged.Start(Programs.Test, ["filled", "64"], ("HECA_TAKE", take));
        Assert.Equal("ready", program.StandardOutput.ReadLine());
        PagerSnapshot before = WaitFor(paged, snapshot => snapshot.PagesOut >= PagesInAll && snapshot.PagesCleaned > 0);
        program.StandardInput.WriteLine();

        Assert.Equal("ok", program.StandardOutput.ReadLine());
        PagerSnapshot after = paged.Host.Snapshot();
        Assert.InRange(before.PagesCleaned, 1, 8L << 8);
        Assert.InRange(before.ResidentBytes, before.PagesCleaned << 12, 8L << 20);

        // A page that was cleaned in the middle of being filled, on a busy machine, was written twice.
        Assert.InRange(after.PagesOut, PagesInAll, PagesInAll + 128);
    }

    private static PagerSnapshot WaitFor(PagedProgram paged, Func<PagerSnapshot, bool> condition)
    {
        PagerSnapshot snapshot = default;
        Assert.True(SpinWait.SpinUntil(() => condition(snapshot = paged.Host.Snapshot()), Deadline), "the program does not fault");
        return snapshot;
    }

    private static char PagerThreadState()
    {
        foreach (string task in Directory.GetDirectories("/proc/self/task"))
        {
            if (File.ReadAllText(Path.Combine(task, "comm")).Trim() == "heca-pager")
            {
                string stat = File.ReadAllText(Path.Combine(task, "stat"));
                return stat[stat.LastIndexOf(')') + 2];
            }
        }

        return '?';
    }

    private static long StatusKib(int process, string name)
    {
        string line = File.ReadLines($"/proc/{process}/status").First(l => l.StartsWith(name, StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2].Split('\t')[^1], CultureInfo.InvariantCulture);
    }
}
