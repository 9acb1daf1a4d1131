using System.Diagnostics;
using System.Text.Json;
using Hecatonchire.Interop;
using Xunit;

namespace Hecatonchire.Tests.Processes;

/// <summary>The real heca-sponsor, as it was built beside the tests, on loopback with ports and a key directory of its own.</summary>
internal sealed class SponsorProcess : IDisposable
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(30);

    private readonly Process _process;
    private readonly Task<string> _errors;

    public SponsorProcess(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        ProcessStartInfo start = new(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        _process = Process.Start(start)!;
        _errors = _process.StandardError.ReadToEndAsync();
    }

    /// <summary>What `make` published, where HECA_BIN says so; else heca-sponsor is copied beside every assembly that references it.</summary>
    public static string Program => Path.Combine(Environment.GetEnvironmentVariable("HECA_BIN") is { Length: > 0 } published ? published : AppContext.BaseDirectory, "heca-sponsor");

    public int ControlPort { get; private set; }

    public int DataPort { get; private set; }

    /// <summary>0 without --metrics.</summary>
    public int MetricsPort { get; private set; }

    public string PublicKey { get; private set; } = "";

    /// <summary>What was written to standard error, whole; waits for the end of the process.</summary>
    public string Errors => _errors.WaitAsync(Deadline).GetAwaiter().GetResult();

    /// <summary>A sponsor of 256 MiB on any ports that has announced itself.</summary>
    public static SponsorProcess StartAnnounced(string keys, params string[] more)
    {
        SponsorProcess sponsor = new(Program, ["--keys", keys, "--memory", "256MiB", "--port", "0", "--data-port", "0", "--announce", .. more]);
        sponsor.ReadAnnouncement();
        return sponsor;
    }

    public void ReadAnnouncement()
    {
        string? line = _process.StandardOutput.ReadLineAsync().WaitAsync(Deadline).GetAwaiter().GetResult();
        if (line is null)
        {
            Assert.Fail($"the sponsor ended without an announcement: {Errors}");
        }

        using JsonDocument announcement = JsonDocument.Parse(line);
        ControlPort = announcement.RootElement.GetProperty("control_port").GetInt32();
        DataPort = announcement.RootElement.GetProperty("data_port").GetInt32();
        MetricsPort = announcement.RootElement.TryGetProperty("metrics_port", out JsonElement port) ? port.GetInt32() : 0;
        PublicKey = announcement.RootElement.GetProperty("public_key").GetString()!;
    }

    public string ReadOutput() => _process.StandardOutput.ReadToEndAsync().WaitAsync(Deadline).GetAwaiter().GetResult();

    public void CloseInput() => _process.StandardInput.Close();

    public void Signal(int signal) => Assert.Equal(0, Libc.Kill(_process.Id, signal));

    public int WaitForExit() => WaitForExit(Deadline);

    public int WaitForExit(TimeSpan deadline)
    {
        Assert.True(_process.WaitForExit(deadline), $"the sponsor did not end within {deadline.TotalSeconds} s");
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
    }
}
