using System.Diagnostics;
using Xunit;

namespace Hecatonchire.Tests;

public sealed class SampleTests
{
    private const int SkippedStatus = 77;

    /// <summary>Threads fault and the collector runs at the same time; either mechanism of taking pages.</summary>
    [Theory]
    [InlineData("move")]
    [InlineData("copy")]
    public async Task Sample_survives_garbage_collections_while_its_threads_fault(string take)
    {
        (int status, string output, string errors) = await Run(
            NativePaths.Minipager, ["--resident", "512", "--", NativePaths.SumSample, "500000"], take);
        Assert.SkipWhen(status == SkippedStatus, "this user may not make a userfaultfd");
        Assert.True(status == 0 && output == "ok\n", $"status {status}: {output}{errors}");
    }

    [Fact]
    public async Task Without_pager_the_error_names_heca_run()
    {
        (int status, _, string errors) = await Run(NativePaths.SumSample, ["1000"], "move");
        Assert.Equal(1, status);
        Assert.Contains("`heca run", errors, StringComparison.Ordinal);
        Assert.Single(errors, '\n');
    }

    private static async Task<(int Status, string Output, string Errors)> Run(string program, string[] arguments, string take)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["HECA_TAKE"] = take;
        start.Environment.Remove("HECA_SOCKET");
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        try
        {
            await process.WaitForExitAsync(deadline.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} did not end: a thread stopped in a fault and the collector wait for each other?");
        }

        return (process.ExitCode, await output, await errors);
    }
}
