using System.Diagnostics;

namespace Hecatonchire.Tests.Harness;

/// <summary>`heca run` with a sponsor of the test.</summary>
internal static class HecaRun
{
    public static Process Start(SponsorProcess sponsor, string take, params string[] arguments)
    {
        var start = new ProcessStartInfo(Programs.Heca)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["HECA_TAKE"] = take;
        string[] connect = ["run", "--sponsor", $"127.0.0.1:{sponsor.Endpoint.Port}", "--sponsor-key", sponsor.Endpoint.PublicKey];
        foreach (string argument in (string[])[.. connect, .. arguments])
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start)!;
    }
}
