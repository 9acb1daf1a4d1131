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
        if (!File.Exists(Program))
        {
            const string Missing = "no /usr/bin/promtool: apt-get install prometheus";
            Assert.False((Environment.GetEnvironmentVariable("HECA_REQUIRE") ?? "").Split(',').Contains("promtool"), Missing);
            Assert.Skip(Missing);
        }

        using Process promtool = Process.Start(new ProcessStartInfo(Program, ["check", "metrics"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        promtool.StandardInput.Write(text);
        promtool.StandardInput.Close();
        string said = promtool.StandardOutput.ReadToEnd() + promtool.StandardError.ReadToEnd();
        promtool.WaitForExit();
        Assert.True(promtool.ExitCode == 0 && said.Length == 0, $"promtool exit {promtool.ExitCode}: {said}\n{text}");
    }
}
