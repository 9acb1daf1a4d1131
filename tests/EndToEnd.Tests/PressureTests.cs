using System.Globalization;
using Hecatonchire.Tests.Harness;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>A program in a real memory cgroup whose limit is lower than its local budget.</summary>
public class PressureTests
{
    private const string Controller = "/sys/fs/cgroup/memory";
    private const long Limit = 64L << 20;

    [Theory]
    [InlineData("")]
    [InlineData("copy")]
    public void The_kernel_neither_reclaims_nor_kills_in_a_group_smaller_than_the_budget(string take)
    {
        if (!File.Exists(Path.Combine(Controller, "memory.limit_in_bytes")))
        {
            const string Reason = "no cgroup v1 memory controller here; v2 is tested in the virtual machine";
            Assert.False((Environment.GetEnvironmentVariable("HECA_REQUIRE") ?? "").Contains("cgroup", StringComparison.Ordinal), Reason);
            Assert.Skip(Reason);
        }

        string group = Path.Combine(Controller, $"heca-test-{Environment.ProcessId}-{take}");
        Directory.CreateDirectory(group);
        try
        {
            File.WriteAllText(Path.Combine(group, "memory.limit_in_bytes"), Limit.ToString(CultureInfo.InvariantCulture));
            using var sponsor = new SponsorProcess("512MiB");
            using var paged = new PagedProgram(sponsor.Endpoint, "256MiB");

            // The shell enters the group, then becomes the program.
            (int exitCode, string output, string error) = paged.Run("/bin/sh",
                ["-c", $"echo $$ > {group}/cgroup.procs && exec {Programs.Test} walk 192 4 30000"], ("HECA_TAKE", take));

            Assert.Equal((0, "ok\n", ""), (exitCode, output, error));
            Assert.Equal(0, Read(group, "memory.failcnt"));
            Assert.InRange(Read(group, "memory.max_usage_in_bytes"), 1, Limit - 1);
            Assert.InRange(paged.Host.Snapshot().ResidentPeakBytes, Limit / 2, Limit);
        }
        finally
        {
            Directory.Delete(group);
        }
    }

    private static long Read(string group, string file) =>
        long.Parse(File.ReadAllText(Path.Combine(group, file)), CultureInfo.InvariantCulture);
}
