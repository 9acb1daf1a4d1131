using System.Diagnostics;
using Xunit;

namespace Hecatonchire.Tests.Cli;

/// <summary>The real `heca` as a process, from its arguments to its exit status.</summary>
internal static class HecaProcess
{
    private static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(30);

    public static (int Status, string Output, string Error) Run(IReadOnlyDictionary<string, string?> environment, params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "heca"), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment.Remove("HECA_SPONSOR_KEY");
        start.Environment.Remove("HECA_DEBUG");
        foreach ((string name, string? value) in environment)
        {
            start.Environment[name] = value;
        }

        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(TimeMax))
        {
            process.Kill();
            Assert.Fail($"heca {string.Join(' ', arguments)} did not end within {TimeMax.TotalSeconds} s");
        }

        return (process.ExitCode, output.GetAwaiter().GetResult(), error.GetAwaiter().GetResult());
    }

    /// <summary>One line on standard error that starts with the program's name and nothing on standard output; returns the line.</summary>
    public static string RunToError(int status, params string[] arguments) => RunToError(new Dictionary<string, string?>(), status, arguments);

    public static string RunToError(IReadOnlyDictionary<string, string?> environment, int status, params string[] arguments)
    {
        (int actual, string output, string error) = Run(environment, arguments);
        Assert.True(status == actual, $"status {actual}: {error}");
        Assert.Empty(output);
        Assert.StartsWith("heca: ", error, StringComparison.Ordinal);
        string line = error.TrimEnd('\n');
        Assert.DoesNotContain('\n', line);
        return line;
    }
}
