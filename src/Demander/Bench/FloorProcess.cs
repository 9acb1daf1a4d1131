using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Bench.Workloads;
using Hecatonchire.Cli;

namespace Hecatonchire.Bench;

/// <summary>heca-floor, the bare program with the same work that a pager is measured against.</summary>
internal static class FloorProcess
{
    /// <summary>Pages per request, as measured best.</summary>
    public const int ScanWindow = 64;

    private const string ProgramName = "heca-floor";

    /// <summary>Windows ahead, as measured best.</summary>
    private const string ScanDepth = "2";

    /// <summary>Of a fault run the latencies, of a scan its pages per second.</summary>
    internal sealed record Floor(LatencySummary? Latencies, double? PagesPerS);

    /// <summary>Throws <see cref="CommandException"/> or <see cref="OperationCanceledException"/>.</summary>
    public static Floor Run(WorkloadOptions options, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        var start = new ProcessStartInfo(Program(), Arguments(options)) { RedirectStandardOutput = true };
        try
        {
            using Process process = Process.Start(start)!;
            using CancellationTokenRegistration registration = cancellation.Register(process.Kill);
            string text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            cancellation.ThrowIfCancellationRequested();
            return process.ExitCode == 0
                ? Parse(text)
                : throw new CommandException($"{ProgramName} ended with status {process.ExitCode}; its own message is above", ExitStatus.Failed);
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new CommandException($"--floor: {ProgramName}: {e.Message}; it lies beside heca in a build", ExitStatus.Failed);
        }
    }

    /// <summary>Beside heca, else whatever PATH has.</summary>
    internal static string Program() => Path.Combine(AppContext.BaseDirectory, ProgramName) is var beside && File.Exists(beside) ? beside : ProgramName;

    /// <param name="options">Fault or scan.</param>
    /// <param name="window">Of a scan, pages per request.</param>
    internal static string[] Arguments(WorkloadOptions options, int window = ScanWindow)
    {
        string size = options.Bytes.ToString(CultureInfo.InvariantCulture);
        return options.Kind == WorkloadKind.Scan
            ? ["scan", "--size", size, "--window", window.ToString(CultureInfo.InvariantCulture), "--depth", ScanDepth]
            : ["fault", "--size", size, "--count", options.AccessesInEffect.ToString(CultureInfo.InvariantCulture),
                "--seed", options.Seed.ToString(CultureInfo.InvariantCulture), "--pin", options.Pin ? "yes" : "no"];
    }

    internal static Floor Parse(string text)
    {
        using JsonDocument document = JsonDocument.Parse(text);
        JsonElement root = document.RootElement;
        return root.GetProperty("mode").GetString() == "scan"
            ? new Floor(null, root.GetProperty("pages_per_s").GetDouble())
            : new Floor(new LatencySummary(Value("p50_us"), Value("p90_us"), Value("p99_us"), Value("p999_us"), Value("max_us")), null);

        double Value(string name) => root.GetProperty(name).GetDouble();
    }
}
