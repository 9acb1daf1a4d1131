using System.Diagnostics;
using Xunit;

namespace Hecatonchire.Tests;

/// <summary>Runs a Python script to its end.</summary>
internal static class PythonScript
{
    /// <summary>Feeds the input, returns standard output; fails the test with what the script said if it does not exit with 0 in time.</summary>
    public static byte[] Run(IEnumerable<string> arguments, ReadOnlySpan<byte> input, TimeSpan deadline)
    {
        Capability.RequirePython();
        using Process python = Process.Start(new ProcessStartInfo(Capability.Python, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> errors = python.StandardError.ReadToEndAsync();
        MemoryStream output = new();
        Task copying = python.StandardOutput.BaseStream.CopyToAsync(output);
        try
        {
            python.StandardInput.BaseStream.Write(input);
            python.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended early; its exit status says so below.
        }

        if (!python.WaitForExit(deadline))
        {
            python.Kill();
            Assert.Fail($"the script did not end within {deadline.TotalSeconds} s");
        }

        python.WaitForExit();
        copying.Wait();
        Assert.True(python.ExitCode == 0, $"exit status {python.ExitCode}: {errors.Result}");
        return output.ToArray();
    }
}
