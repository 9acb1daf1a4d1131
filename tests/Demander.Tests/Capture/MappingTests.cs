using System.Text;
using Hecatonchire.Capture;
using Hecatonchire.Install;
using Xunit;

namespace Hecatonchire.Tests.Capture;

public class MappingTests
{
    [Fact]
    public void Lines_of_maps_are_read_whatever_their_names()
    {
        const string Maps =
            "55a0e0000000-55a0e0021000 rw-p 00000000 00:00 0                          [heap]\n"
            + "7f3c10000000-7f3c14000000 rw-p 00000000 00:00 0 \n"
            + "7f3c20000000-7f3c20001000 r--s 00001000 fe:01 131                        /tmp/a file (deleted)\n"
            + "7f3c30000000-7f3c30001000 rwxp 00000000 00:00 0                          [anon:jit]\n"
            + "no line of maps\n"
            + "7f3c40000000-7f3c40000000 rw-p 00000000 00:00 0 \n"
            + "7ffc0b5d2000-7ffc0b5f3000 rw-p 00000000 00:00 0                          [stack]";
        var found = new List<Mapping>();

        Mapping.ParseAll(Encoding.UTF8.GetBytes(Maps), found);

        Assert.Equal(
            [
                new Mapping(new AddressRange(0x55a0e0000000, 0x55a0e0021000), true, true, false, false, 0, "[heap]"),
                new Mapping(new AddressRange(0x7f3c10000000, 0x7f3c14000000), true, true, false, false, 0, ""),
                new Mapping(new AddressRange(0x7f3c20000000, 0x7f3c20001000), true, false, false, true, 131, "/tmp/a file (deleted)"),
                new Mapping(new AddressRange(0x7f3c30000000, 0x7f3c30001000), true, true, true, false, 0, "[anon:jit]"),
                new Mapping(new AddressRange(0x7ffc0b5d2000, 0x7ffc0b5f3000), true, true, false, false, 0, "[stack]"),
            ],
            found);
    }

    [Fact]
    public void What_the_kernel_says_of_this_process_is_read_whole()
    {
        using var memory = new ProcessMemory(Environment.ProcessId);
        var found = new List<Mapping>();
        memory.ReadMappings(found);

        Assert.Contains(found, mapping => mapping.Name == "[stack]");
        Assert.Equal(found.OrderBy(mapping => mapping.Range.Start), found);
        (long mapped, long anonymous) = memory.ReadPages();
        Assert.InRange(anonymous, 100, mapped);
    }

    [Fact]
    public void A_process_that_has_ended_is_an_IOException()
    {
        using var gone = System.Diagnostics.Process.Start("sleep", "60");
        using var memory = new ProcessMemory(gone.Id);
        gone.Kill();
        gone.WaitForExit();

        Assert.ThrowsAny<IOException>(() => memory.ReadPages());
        Assert.ThrowsAny<IOException>(() => new ProcessMemory(gone.Id));
    }
}
