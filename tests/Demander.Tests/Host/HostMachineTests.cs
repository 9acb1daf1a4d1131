using Hecatonchire.Host;
using Xunit;

namespace Hecatonchire.Tests.Host;

public sealed class HostMachineTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("heca-host-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData("fpu hypervisor lahf_lm", "QEMU", "Standard PC", "QEMU Standard PC")]
    [InlineData("fpu hypervisor lahf_lm", null, null, "hypervisor unknown")]
    [InlineData("fpu lahf_lm", "Dell Inc.", "PowerEdge", null)]
    public void A_machine_is_described_by_its_files(string flags, string? vendor, string? product, string? virtualised)
    {
        Write("/proc/cpuinfo", $"processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: {flags}\n");
        Write("/proc/meminfo", "MemTotal:       24576 kB\nMemFree:        5 kB\n");
        Write("/proc/sys/kernel/osrelease", "6.18.0\n");
        Write("/sys/class/dmi/id/sys_vendor", vendor);
        Write("/sys/class/dmi/id/product_name", product);

        HostMachine machine = HostMachine.Read(new HostFiles(_root));

        Assert.Equal(("Some CPU @ 3 GHz", 24L << 20, virtualised, "6.18.0"), (machine.Cpu, machine.MemoryBytes, machine.Virtualised, machine.Kernel));
    }

    [Fact]
    public void Busy_time_is_that_of_all_cpus_without_waiting_and_what_was_stolen()
    {
        Write("/proc/stat", "cpu  100 20 300 99999 8888 4 5 777 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n");
        Assert.Equal(4.29, HostCpu.BusySeconds(new HostFiles(_root)), 6);
        Assert.Equal(0, HostCpu.BusySeconds(new HostFiles("/nowhere")));
    }

    [Fact]
    public void Of_this_host_both_are_known()
    {
        HostMachine machine = HostMachine.Read(new HostFiles());
        Assert.True(machine.Cpu.Length > 0 && machine.MemoryBytes > 1 << 20 && machine.Kernel != "unknown", machine.ToString());
        Assert.True(HostCpu.BusySeconds(new HostFiles()) > 0);
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
