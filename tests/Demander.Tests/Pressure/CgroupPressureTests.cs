using System.Diagnostics;
using Hecatonchire.Interop;
using Hecatonchire.Pressure;
using Xunit;

namespace Hecatonchire.Tests.Pressure;

/// <summary>The pressure monitor against real cgroups (v1).</summary>
public sealed class CgroupPressureTests
{
    private const long MiB = 1L << 20;
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(5);

    [Fact]
    public void Finds_the_group_and_its_limit()
    {
        TestCgroup.Require();
        using var group = new TestCgroup(128 * MiB);
        group.StartChild();
        using CgroupMemory memory = CgroupMemory.Find(group.ChildId)!;
        Assert.Equal(1, memory.Version);
        Assert.Equal(group.Directory, memory.Path);
        Assert.Equal(128 * MiB, memory.LimitBytes);
        Assert.Equal(long.MaxValue, memory.HighBytes);
        group.Tell("anon 20");
        Assert.InRange(memory.ReadUsage(), 20 * MiB, 60 * MiB);
    }

    [Fact]
    public void A_group_without_limit_is_none()
    {
        TestCgroup.Require();
        using var group = new TestCgroup(long.MaxValue);
        group.StartChild();
        Assert.Null(CgroupMemory.Find(group.ChildId));
        Assert.Null(CgroupMemory.Find(int.MaxValue));
    }

    [Fact]
    public void The_smallest_limit_of_the_path_counts_with_the_usage_of_its_level()
    {
        TestCgroup.Require();
        using var parent = new TestCgroup(96 * MiB);
        using var sibling = new TestCgroup(long.MaxValue, parent.Directory);
        using var group = new TestCgroup(long.MaxValue, parent.Directory);
        group.StartChild();
        sibling.StartChild();
        sibling.Tell("anon 32");
        using var monitor = new PressureMonitor(CgroupMemory.Find(group.ChildId));
        Assert.Equal(96 * MiB, monitor.Memory!.LimitBytes);
        Assert.True(monitor.Refresh(0));
        Assert.True(monitor.AllowedResidentBytes(0) <= 60 * MiB, "the sibling's 32 MiB count against the common limit");
    }

    [Fact]
    public void Reports_growth_before_the_limit_and_takes_it_off_the_allowance()
    {
        TestCgroup.Require();
        using var group = new TestCgroup(128 * MiB);
        group.StartChild();
        using var monitor = new PressureMonitor(CgroupMemory.Find(group.ChildId));
        Assert.Contains("v1.thresholds", monitor.Armed);

        // 48 MiB of what the child takes stand for sponsored pages: they must not count against themselves.
        group.Tell("anon 48");
        Assert.True(monitor.Refresh(48 * MiB));
        long before = monitor.AllowedResidentBytes(48 * MiB);
        Assert.InRange(before, 96 * MiB, 124 * MiB);
        Assert.False(IsReadable(monitor.WaitDescriptor, TimeSpan.Zero));

        int notified = monitor.Notifications;
        for (int taken = 0; taken < 56; taken += 8)
        {
            group.Tell("anon 8");
        }

        // 104 MiB and the interpreter: past 80 %.
        Assert.True(IsReadable(monitor.WaitDescriptor, Deadline), "no notification before the limit");
        Until(() => monitor.Notifications > notified);
        Assert.Equal(0, group.Read("memory.failcnt"));
        Until(() => monitor.AllowedResidentBytes(48 * MiB) <= before - 50 * MiB);
        Assert.InRange(monitor.AllowedResidentBytes(48 * MiB), before - 64 * MiB, before - 50 * MiB);
        monitor.Acknowledge();

        // And back: a tick is enough, nobody has to ask.
        group.Tell("release");
        Until(() => monitor.AllowedResidentBytes(0) > 96 * MiB);
    }

    [Fact]
    public void Refresh_sees_at_once_what_the_program_took_and_allocates_nothing()
    {
        TestCgroup.Require();
        using var group = new TestCgroup(128 * MiB);
        group.StartChild();
        using var monitor = new PressureMonitor(CgroupMemory.Find(group.ChildId));
        Assert.True(monitor.Refresh(0));
        long before = monitor.AllowedResidentBytes(0);
        group.Tell("anon 64");
        Assert.True(monitor.Refresh(0));
        Assert.InRange(before - monitor.AllowedResidentBytes(0), 62 * MiB, 68 * MiB);
        Assert.False(monitor.Refresh(128 * MiB), "128 MiB resident cannot be within 124");

        // The first round pays for what the runtime sets up at a first call.
        Use(monitor, 1);
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        Use(monitor, 1000);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - allocated);
    }

    private static void Use(PressureMonitor monitor, int rounds)
    {
        for (int i = 0; i < rounds; i++)
        {
            monitor.Refresh(i);
            monitor.AllowedResidentBytes(i);
            monitor.Acknowledge();
        }
    }

    [Fact]
    public void Page_cache_does_not_count()
    {
        TestCgroup.Require();
        using var group = new TestCgroup(128 * MiB);
        group.StartChild();
        using var monitor = new PressureMonitor(CgroupMemory.Find(group.ChildId));
        long before = monitor.AllowedResidentBytes(0);
        string file = Path.Combine(AppContext.BaseDirectory, $"cache-{Environment.ProcessId}");
        try
        {
            long usage = monitor.Memory!.ReadUsage();
            group.Tell($"file {file} 64");
            Assert.True(monitor.Memory.ReadUsage() > usage + 48 * MiB, "the file's pages are charged to the group");
            Until(() => monitor.Memory.ReadReclaimableFile() > 48 * MiB);
            Until(() => monitor.AllowedResidentBytes(0) > before - 12 * MiB);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void A_limit_that_is_lowered_lowers_the_allowance_and_wakes_the_pager()
    {
        TestCgroup.Require();
        using var group = new TestCgroup(256 * MiB);
        group.StartChild();
        using var monitor = new PressureMonitor(CgroupMemory.Find(group.ChildId));
        group.Tell("anon 40");
        Assert.True(monitor.AllowedResidentBytes(40 * MiB) > 128 * MiB);
        monitor.Acknowledge();
        group.SetLimit(40 * MiB + 24 * MiB);
        Until(() => monitor.AllowedResidentBytes(40 * MiB) <= 60 * MiB);
        group.SetLimit(56 * MiB);
        monitor.AllowedResidentBytes(56 * MiB);
        Assert.True(IsReadable(monitor.WaitDescriptor, Deadline));
    }

    [Fact]
    public void A_group_that_goes_away_limits_nothing_and_the_monitor_stops()
    {
        TestCgroup.Require();
        PressureMonitor monitor;
        using (var group = new TestCgroup(64 * MiB))
        {
            group.StartChild();
            monitor = new PressureMonitor(CgroupMemory.Find(group.ChildId));
        }

        using (monitor)
        {
            Until(() => monitor.Refresh(1L << 40));
            Assert.Equal(long.MaxValue, monitor.AllowedResidentBytes(0));
        }
    }

    private static void Until(Func<bool> condition)
    {
        var waited = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(waited.Elapsed < Deadline, "the state did not come within its deadline");
            Thread.Yield();
        }
    }

    private static unsafe bool IsReadable(int descriptor, TimeSpan deadline)
    {
        var poll = new PollDescriptor { Descriptor = descriptor, Events = Libc.POLLIN };
        return Libc.Poll(&poll, 1, (int)deadline.TotalMilliseconds) == 1;
    }
}
