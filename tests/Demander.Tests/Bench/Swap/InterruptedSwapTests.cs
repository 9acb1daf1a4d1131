using System.Diagnostics;
using Hecatonchire.Bench;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Cli;
using Xunit;

namespace Hecatonchire.Tests.Bench.Swap;

/// <summary>However a benchmark ends, its swap areas, devices, settings, groups and files end too.</summary>
[Collection(SwapHost.Name)]
public sealed class InterruptedSwapTests
{
    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData("zram-lz4", Libc.SIGTERM)]
    [InlineData("disk-swap", Libc.SIGINT)]
    [InlineData("zswap", 1)]
    public void A_signal_leaves_nothing(string system, int signal)
    {
        Require(system);
        string before = SwapHost.State();
        using Process heca = StartRun(system);
        Assert.NotEqual(before, SwapHost.State());
        Assert.Equal(0, Libc.Kill(heca.Id, signal));
        Assert.True(heca.WaitForExit(TimeMax));
        Assert.Equal(128 + signal, heca.ExitCode);
        Assert.Equal(before, SwapHost.State());
    }

    [Theory]
    [InlineData("zram-lz4")]
    [InlineData("disk-swap")]
    [InlineData("zswap")]
    public void What_a_killed_run_leaves_the_next_one_removes(string system)
    {
        Require(system);
        string before = SwapHost.State();
        using (Process heca = StartRun(system))
        {
            heca.Kill();
            Assert.True(heca.WaitForExit(TimeMax));
        }

        Assert.NotEqual(before, SwapHost.State());
        (int status, _, string error) = HecaProcess.Run(new Dictionary<string, string?>(), "bench", "scan", "--system", "local", "--size", "4MiB");
        Assert.True(status == 0, error);
        Assert.Equal(before, SwapHost.State());
    }

    private static void Require(string name)
    {
        Assert.True(MemorySystemNames.TryParse(name, out MemorySystem system));
        SwapHost.Require(system);
    }

    /// <summary>A run that would take for ever, in its measured part.</summary>
    private static Process StartRun(string system)
    {
        string[] arguments =
        [
            "bench", "random-walk", "--system", system, "--size", "64MiB", "--local", "1:2", "--accesses", "1000000000000", "--progress",
        ];
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "heca"), arguments) { RedirectStandardError = true };
        Process heca = Process.Start(start)!;
        string said = "";
        while (heca.StandardError.ReadLine() is { } line)
        {
            said = line;
            if (line.StartsWith("random-walk: run", StringComparison.Ordinal))
            {
                // Nobody reads any more: what it says next must not stop it.
                _ = heca.StandardError.ReadToEndAsync();
                return heca;
            }
        }

        heca.WaitForExit();
        heca.Dispose();
        Assert.Fail(said);
        return heca;
    }
}
