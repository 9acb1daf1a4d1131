using System.Diagnostics;
using Xunit;

namespace Hecatonchire.Tests.Deploy;

/// <summary>A program of the host's that is asked about something of ours.</summary>
internal static class Tool
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(5);

    public static (int Status, string Output) Run(string program, params string[] arguments) => RunWith([], program, arguments);

    /// <summary>Standard output and error in one.</summary>
    public static (int Status, string Output) RunWith(IReadOnlyList<(string Name, string Value)> environment, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Harness.Programs.Root };
        start.Environment["LC_ALL"] = "C.UTF-8";
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync(), error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_deadline))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{program} {string.Join(' ', arguments)} does not end");
        }

        return (process.ExitCode, output.GetAwaiter().GetResult() + error.GetAwaiter().GetResult());
    }

    /// <summary>What it prints; fails where its status is not 0.</summary>
    public static string Output(string program, params string[] arguments)
    {
        (int status, string output) = Run(program, arguments);
        Assert.True(status == 0, $"{program} {string.Join(' ', arguments)} ended with {status}: {output}");
        return output;
    }
}
