using System.Diagnostics;
using Xunit;

namespace Hecatonchire.Tests.Metrics;

/// <summary>Debian's promtool as a judge of exposition text.</summary>
internal static class Promtool
{
    private const string Program = "/usr/bin/promtool";

    /// <summary>Fails with promtool's words unless it accepts <paramref name="text"/> without a remark.</summary>
    public static void Check(string text)
    {
        (int status, string said) = Run(text, "check", "metrics");
        Assert.True(status == 0 && said.Length == 0, $"promtool exit {status}: {said}\n{text}");
    }

    /// <summary>Exit status and all that it says. Without promtool the test is skipped, or fails where HECA_REQUIRE names it.</summary>
    public static (int Status, string Said) Run(string input, params string[] arguments)
    {
        if (!File.Exists(Program))
        {
            const string Missing = "no /usr/bin/promtool: apt-get install prometheus";
            Assert.False((Environment.GetEnvironmentVariable("HECA_REQUIRE") ?? "").Split(',').Contains("promtool"), Missing);
            Assert.Skip(Missing);
        }

        using Process promtool = Process.Start(new ProcessStartInfo(Program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> error = promtool.StandardError.ReadToEndAsync();
        promtool.StandardInput.Write(input);
        promtool.StandardInput.Close();
        string output = promtool.StandardOutput.ReadToEnd();
        promtool.WaitForExit();
        return (promtool.ExitCode, output + error.Result);
    }
}
