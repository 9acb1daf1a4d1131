using Hecatonchire.Host;
using Hecatonchire.Host.Probes;
using Hecatonchire.Interop;
using Xunit;

namespace Hecatonchire.Tests.Host;

/// <summary>What each probe makes of hosts that are not this one, from files under another root.</summary>
public sealed class HostProbeTests : IDisposable
{
    private const ulong AllFeatures = (1UL << 17) - 1;
    private const string Capable = "Name:\theca\nCapEff:\t000001ffffffffff\n", Incapable = "CapEff:\t0000000000000000\n";
    private readonly string _root = Directory.CreateTempSubdirectory("heca-host-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData(0, -1, 0, 0u, false, ProbeStatus.Ok, null)]
    [InlineData(Errno.ENOENT, 0, 0, 0u, false, ProbeStatus.Ok, null)]
    [InlineData(Errno.EACCES, Errno.EPERM, 0, 1000u, true, ProbeStatus.Fail, "chgrp")]
    [InlineData(Errno.ENOENT, Errno.EPERM, 0, 1000u, false, ProbeStatus.Fail, "sysctl -w vm.unprivileged_userfaultfd=1")]
    [InlineData(Errno.ENOENT, Errno.EPERM, 0, 0u, false, ProbeStatus.Fail, "docker run --device /dev/userfaultfd")]
    [InlineData(Errno.ENOENT, Errno.ENOSYS, 0, 0u, false, ProbeStatus.Fail, "linux-image")]
    [InlineData(0, -1, Errno.EINVAL, 0u, true, ProbeStatus.Fail, "linux-image")]
    internal void Userfaultfd(int device, int call, int api, uint user, bool deviceThere, ProbeStatus status, string? remedy)
    {
        if (deviceThere)
        {
            Write("/dev/userfaultfd", "");
        }

        HostFacts host = Facts() with
        {
            Userfaultfd = new UserfaultfdOpening { DeviceErrno = device, CallErrno = call, ApiErrno = api, Features = AllFeatures },
            EffectiveUser = user,
        };
        Expect(UserfaultfdProbes.Open(host), status, remedy);
    }

    [Theory]
    [InlineData(AllFeatures, ProbeStatus.Ok, "MISSING WP EVENT_FORK EVENT_REMAP EVENT_REMOVE MISSING_HUGETLBFS MISSING_SHMEM EVENT_UNMAP SIGBUS "
        + "THREAD_ID MINOR_HUGETLBFS MINOR_SHMEM EXACT_ADDRESS WP_HUGETLBFS_SHMEM WP_UNPOPULATED POISON WP_ASYNC MOVE")]
    [InlineData(1UL << 16, ProbeStatus.Warn, "MISSING MOVE")]
    [InlineData(0x1FFFUL, ProbeStatus.Warn, "WP_HUGETLBFS_SHMEM")]
    [InlineData(0UL, ProbeStatus.Fail, "MISSING")]
    internal void Userfaultfd_features(ulong features, ProbeStatus status, string found)
    {
        HostProbe probe = UserfaultfdProbes.Features(Facts() with { Userfaultfd = new UserfaultfdOpening { Features = features } });
        Expect(probe, status, status == ProbeStatus.Ok ? null : "linux-image");
        Assert.EndsWith(found, probe.Found, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0", Incapable, ProbeStatus.Ok, null)]
    [InlineData("1", Incapable, ProbeStatus.Ok, null)]
    [InlineData("2", Incapable, ProbeStatus.Fail, "ptrace_scope=1")]
    [InlineData("2", Capable, ProbeStatus.Ok, null)]
    [InlineData("3", Capable, ProbeStatus.Fail, "reboot")]
    [InlineData(null, Incapable, ProbeStatus.Ok, null)]
    internal void Ptrace(string? scope, string capabilities, ProbeStatus status, string? remedy)
    {
        Write("/proc/self/status", capabilities);
        Write("/proc/sys/kernel/yama/ptrace_scope", scope);
        Expect(PermissionProbes.Ptrace(Facts()), status, remedy);
    }

    [Theory]
    [InlineData("8388608", Incapable, ProbeStatus.Warn, "prlimit", "8MiB")]
    [InlineData("unlimited", Incapable, ProbeStatus.Ok, null, "unlimited")]
    [InlineData("65536", Capable, ProbeStatus.Ok, null, "CAP_IPC_LOCK (limit 64KiB)")]
    internal void Memlock(string soft, string capabilities, ProbeStatus status, string? remedy, string found)
    {
        Write("/proc/self/status", capabilities);
        Write("/proc/self/limits", $"Limit                     Soft Limit           Hard Limit           Units\nMax locked memory         {soft}              {soft}              bytes\n");
        HostProbe probe = PermissionProbes.LockedMemory(Facts());
        Expect(probe, status, remedy);
        Assert.Contains(found, probe.Found, StringComparison.Ordinal);
    }

    [Fact]
    public void Cgroup_limits_are_named_with_the_distance_that_is_kept()
    {
        Group("134217728", swapMax: null);
        HostProbe probe = MemoryProbes.Cgroup(Facts());
        Expect(probe, ProbeStatus.Ok, null);
        Assert.Contains("v2", probe.Found, StringComparison.Ordinal);
        Assert.EndsWith("limit 128MiB", probe.Found, StringComparison.Ordinal);
        Assert.Contains("4MiB below", probe.Meaning, StringComparison.Ordinal);
    }

    [Fact]
    public void A_switched_off_memory_controller_is_a_warning()
    {
        Write("/sys/fs/cgroup/cgroup.controllers", "cpu io pids\n");
        Expect(MemoryProbes.Cgroup(Facts()), ProbeStatus.Warn, "+memory");
    }

    [Theory]
    [InlineData(false, null, ProbeStatus.Ok, null)]
    [InlineData(true, "0", ProbeStatus.Ok, null)]
    [InlineData(true, "max", ProbeStatus.Warn, "echo 0 | sudo tee")]
    [InlineData(true, null, ProbeStatus.Warn, "swapoff")]
    internal void Swap(bool on, string? swapMax, ProbeStatus status, string? remedy)
    {
        Write("/proc/swaps", "Filename\t\tType\n" + (on ? "/dev/sda2   partition 1 0 -2\n" : ""));
        Group("134217728", swapMax);
        Expect(MemoryProbes.Swap(Facts()), status, remedy);
    }

    [Theory]
    [InlineData("always [madvise] never", ProbeStatus.Ok, null)]
    [InlineData("always madvise [never]", ProbeStatus.Warn, "echo madvise")]
    [InlineData(null, ProbeStatus.Warn, "echo madvise")]
    internal void Huge_pages(string? text, ProbeStatus status, string? remedy)
    {
        Write("/sys/kernel/mm/transparent_hugepage/enabled", text);
        Expect(MemoryProbes.HugePages(Facts()), status, remedy);
    }

    [Theory]
    [InlineData("6.18.44-x", ProbeStatus.Ok, null)]
    [InlineData("6.1.0-18-amd64", ProbeStatus.Warn, "linux-image")]
    [InlineData("5.4.0", ProbeStatus.Fail, "linux-image")]
    [InlineData("odd", ProbeStatus.Warn, null)]
    internal void Kernel(string release, ProbeStatus status, string? remedy)
    {
        Write("/proc/sys/kernel/osrelease", release + "\n");
        Expect(SystemProbes.Kernel(Facts()), status, remedy);
    }

    [Fact]
    public void The_rest()
    {
        Expect(MemoryProbes.PressureStall(Facts()), ProbeStatus.Warn, "psi=1");
        Write("/proc/pressure/memory", "some avg10=0.00\n");
        Expect(MemoryProbes.PressureStall(Facts()), ProbeStatus.Ok, null);
        Expect(SystemProbes.Processors(Facts() with { Processors = 1 }), ProbeStatus.Warn, null);
        Expect(SystemProbes.ZeroMq(Facts() with { ZeroMqLoads = false }), ProbeStatus.Fail, "apt-get install libzmq5");
        Assert.Equal("no RDMA device", SystemProbes.Rdma(Facts()).Found);
        Write("/sys/class/infiniband/rxe0", "");
        Assert.Equal("rxe0", SystemProbes.Rdma(Facts()).Found);
        Assert.Contains("no /dev/userfaultfd", UserfaultfdProbes.DevicePermissions(Facts()).Found, StringComparison.Ordinal);
        Write("/dev/userfaultfd", "");
        Expect(UserfaultfdProbes.DevicePermissions(Facts() with { Userfaultfd = new UserfaultfdOpening { DeviceErrno = Errno.EACCES } }), ProbeStatus.Warn, "chgrp");
        Write("/proc/sys/vm/unprivileged_userfaultfd", "1\n");
        Assert.Contains("every user", UserfaultfdProbes.UnprivilegedSysctl(Facts()).Meaning, StringComparison.Ordinal);
    }

    [Fact]
    public void The_first_missing_requirement_is_one_line_with_its_remedy()
    {
        Write("/proc/sys/kernel/osrelease", "6.18.0");
        Assert.Null(HostRequirements.FirstMissing(Facts()));
        string line = HostRequirements.FirstMissing(Facts() with { ZeroMqLoads = false })!;
        Assert.Contains("libzmq", line, StringComparison.Ordinal);
        Assert.EndsWith("to mend it: sudo apt-get install libzmq5", line, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', line);
    }

    /// <summary>A host on which all is well, as far as it can be said without files.</summary>
    private HostFacts Facts() => new()
    {
        Files = new HostFiles(_root),
        Userfaultfd = new UserfaultfdOpening { Features = AllFeatures },
        ZeroMqLoads = true,
        EffectiveUser = 0,
        ProcessId = 7,
        Processors = 2,
    };

    private static void Expect(HostProbe probe, ProbeStatus status, string? remedy)
    {
        Assert.Equal(status, probe.Status);
        if (remedy is null)
        {
            Assert.Null(probe.Remedy);
        }
        else
        {
            Assert.Contains(remedy, probe.Remedy, StringComparison.Ordinal);
        }
    }

    private void Group(string max, string? swapMax)
    {
        Write("/proc/7/cgroup", "0::/g\n");
        Write("/proc/self/mountinfo", $"31 23 0:28 / {_root}/sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
        Write("/sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
        Write("/sys/fs/cgroup/g/memory.max", $"{max}\n");
        Write("/sys/fs/cgroup/g/memory.current", "0\n");
        Write("/sys/fs/cgroup/g/memory.swap.max", swapMax);
    }

    private void Write(string path, string? text)
    {
        if (text is not null)
        {
            Directory.CreateDirectory(Path.GetDirectoryName(_root + path)!);
            File.WriteAllText(_root + path, text);
        }
    }
}
