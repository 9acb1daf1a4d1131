using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json;
using Hecatonchire.Status;

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
        string path = Path.Combine(runtime ?? StatusDirectory.Own, $"{run}.sock");
        JsonElement? last = null;
        for (long end = Environment.TickCount64 + 60_000; ; Thread.Sleep(20))
        {
            if (Ask(path) is { } report)
            {
                if (condition(report))
                {
                    return;
                }

                last = report;
            }

            Xunit.Assert.True(Environment.TickCount64 < end, $"{otherwise}: {last?.ToString() ?? "nobody answers"}");
        }
    }

    /// <summary>What `heca status` would be told, without a process for each look; null where nobody answers.</summary>
    public static JsonElement? Ask(string path)
    {
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Connect(new UnixDomainSocketEndPoint(path));
            using var stream = new NetworkStream(socket);
            using JsonDocument json = JsonDocument.Parse(stream);
            return json.RootElement.Clone();
        }
        catch (Exception e) when (e is SocketException or JsonException or IOException)
        {
            return null;
        }
    }

    /// <summary>Runs any command of `heca` to its end.</summary>
    public static (int Status, string Output, string Error) Command(params IEnumerable<string> arguments)
    {
        using Process heca = Process.Start(new ProcessStartInfo(Programs.Heca, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = heca.StandardOutput.ReadToEndAsync(), error = heca.StandardError.ReadToEndAsync();
        heca.WaitForExit();
        return (heca.ExitCode, output.Result, error.Result);
    }

    /// <summary>What each of the sponsors has lent, in bytes.</summary>
    public static long[] LentBy(IEnumerable<SponsorProcess> sponsors)
    {
        using JsonDocument json = JsonDocument.Parse(Command(["cluster", "status", "--json", .. Naming([.. sponsors])]).Output);
        return [.. json.RootElement.GetProperty("sponsors").EnumerateArray().Select(sponsor => sponsor.GetProperty("lent_bytes").GetInt64())];
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
