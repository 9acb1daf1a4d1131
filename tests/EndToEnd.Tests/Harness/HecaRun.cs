using System.Diagnostics;
using System.Text.Json;

namespace Hecatonchire.Tests.Harness;

/// <summary>`heca run` with a sponsor of the test.</summary>
internal static class HecaRun
{
    public static Process Start(SponsorProcess sponsor, string take, params string[] arguments) => Start([sponsor], take, arguments);

    /// <summary>The options that name sponsors and their keys.</summary>
    public static IEnumerable<string> Naming(IEnumerable<SponsorProcess> sponsors) => sponsors.SelectMany(
        sponsor => (string[])["--sponsor", $"{sponsor.Endpoint.Host}:{sponsor.Endpoint.Port}", "--sponsor-key", sponsor.Endpoint.PublicKey]);

    public static Process Start(IReadOnlyList<SponsorProcess> sponsors, string take, params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Heca)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["HECA_TAKE"] = take;
        foreach (string argument in (string[])["run", .. Naming(sponsors), .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }

    /// <summary>Waits until so much of the program of a `heca run` is only on the sponsor.</summary>
    public static void WaitUntilRemote(int run, long bytes, string runtime) =>
        WaitUntil(run, report => report.GetProperty("remote_bytes").GetInt64() > bytes, $"the program of {run} has not come to have {bytes} bytes on the sponsor", runtime);

    /// <summary>Waits until `heca status` says something of a `heca run`.</summary>
    public static void WaitUntil(int run, Predicate<JsonElement> condition, string otherwise, string? runtime = null)
    {
        for (long end = Environment.TickCount64 + 60_000; ; Thread.Sleep(20))
        {
            var ask = new ProcessStartInfo(Programs.Heca, ["status", "--json"]) { RedirectStandardOutput = true };
            if (runtime is not null)
            {
                ask.Environment["HECA_RUNTIME_DIR"] = runtime;
            }

            using Process status = Process.Start(ask)!;
            using JsonDocument json = JsonDocument.Parse(status.StandardOutput.ReadToEnd());
            if (json.RootElement.EnumerateArray().Any(report => report.GetProperty("pager").GetInt32() == run && condition(report)))
            {
                return;
            }

            Xunit.Assert.True(Environment.TickCount64 < end, otherwise);
        }
    }

    /// <summary>Runs it to its end; fails the test when that does not come in time.</summary>
    public static (int Status, string Output, string Error) ToEnd(SponsorProcess sponsor, TimeSpan deadline, params string[] arguments)
    {
        using Process heca = Start(sponsor, "", arguments);
        Task<string> output = heca.StandardOutput.ReadToEndAsync(), error = heca.StandardError.ReadToEndAsync();
        if (!heca.WaitForExit(deadline))
        {
            heca.Kill(entireProcessTree: true);
            Xunit.Assert.Fail($"heca {string.Join(' ', arguments)} did not end within {deadline}: {output.Result} {error.Result}");
        }

        return (heca.ExitCode, output.Result, error.Result);
    }
}
