using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Hecatonchire.Pager;

namespace Hecatonchire.Bench;

/// <summary>
/// A heca-sponsor on loopback that lives as long as this object: a child process with keys of its own in a temporary directory.
/// It ends when its standard input does, so it does not outlive this process either, however that ends.
/// </summary>
internal sealed class EmbeddedSponsor : IDisposable
{
    private const string ProgramName = "heca-sponsor";
    private const long Granularity = 64L << 20;

    /// <summary>It starts in a fraction of this on an idle host.</summary>
    private static readonly TimeSpan StartMax = TimeSpan.FromSeconds(30);

    /// <summary>Giving back a terabyte takes seconds; beyond this it is killed, which loses nothing anyone needs.</summary>
    private static readonly TimeSpan StopMax = TimeSpan.FromSeconds(10);

    private readonly Process _process;
    private readonly DirectoryInfo _keys;

    private EmbeddedSponsor(Process process, DirectoryInfo keys)
    {
        _process = process;
        _keys = keys;
    }

    public SponsorEndpoint Endpoint { get; private set; } = new("", 0, "");

    public int ProcessId => _process.Id;

    /// <summary>Processor time of the sponsor so far; what it last was if it has ended.</summary>
    public TimeSpan CpuTime
    {
        get
        {
            try
            {
                _process.Refresh();
                return _process.TotalProcessorTime;
            }
            catch (InvalidOperationException)
            {
                return TimeSpan.Zero;
            }
        }
    }

    /// <summary>
    /// Starts one that offers room for a program with <paramref name="bytes"/> of sponsored memory and returns when it listens.
    /// Throws <see cref="EmbeddedSponsorException"/>.
    /// </summary>
    public static EmbeddedSponsor Start(long bytes)
    {
        long offer = ((bytes + Granularity - 1) / Granularity * Granularity) + Granularity;
        DirectoryInfo keys = Directory.CreateTempSubdirectory("heca-sponsor-");
        try
        {
            var sponsor = new EmbeddedSponsor(StartProcess(offer, keys.FullName), keys);
            try
            {
                sponsor.ReadAnnouncement();
                return sponsor;
            }
            catch
            {
                sponsor.Dispose();
                throw;
            }
        }
        catch
        {
            RemoveDirectory(keys);
            throw;
        }
    }

    /// <summary>Stops the sponsor and removes its keys.</summary>
    public void Dispose()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has ended already.
        }

        if (!_process.WaitForExit(StopMax))
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _process.Dispose();
        RemoveDirectory(_keys);
    }

    private static Process StartProcess(long offer, string keys)
    {
        string[] arguments =
        [
            "--listen", "127.0.0.1", "--port", "0", "--data-port", "0", "--memory", offer.ToString(CultureInfo.InvariantCulture),
            "--keys", keys, "--announce", "--exit-with-stdin",
        ];
        var start = new ProcessStartInfo(FindProgram(), arguments) { RedirectStandardInput = true, RedirectStandardOutput = true };
        try
        {
            return Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new EmbeddedSponsorException(
                $"the embedded sponsor did not start: {start.FileName}: {e.Message}; install {ProgramName} beside heca or in PATH");
        }
    }

    /// <summary>Beside our own program, else where a build leaves it, else whatever PATH has.</summary>
    private static string FindProgram()
    {
        string here = AppContext.BaseDirectory;
        string build = new DirectoryInfo(here) is { Parent: { Name: var configuration } } directory
            ? Path.Combine("Sponsor", "bin", configuration, directory.Name, ProgramName)
            : ProgramName;
        string[] candidates =
        [
            Path.Combine(here, ProgramName),
            Path.GetFullPath(Path.Combine(here, "..", "..", "..", "..", build)),
            Path.GetFullPath(Path.Combine(here, "..", "..", "..", "..", "..", "src", build)),
        ];
        return candidates.FirstOrDefault(File.Exists) ?? ProgramName;
    }

    private void ReadAnnouncement()
    {
        Task<string?> reading = _process.StandardOutput.ReadLineAsync();
        if (!reading.Wait(StartMax))
        {
            throw new EmbeddedSponsorException($"the embedded sponsor did not start within {StartMax.TotalSeconds:0} s");
        }

        if (reading.Result is not { } line)
        {
            _process.WaitForExit();
            throw new EmbeddedSponsorException($"the embedded sponsor ended at once with status {_process.ExitCode}; its own message is above");
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            Endpoint = new SponsorEndpoint("127.0.0.1", root.GetProperty("control_port").GetInt32(), root.GetProperty("public_key").GetString()!);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new EmbeddedSponsorException($"the embedded sponsor announced '{line}': heca and heca-sponsor must be from one build");
        }
    }

    private static void RemoveDirectory(DirectoryInfo directory)
    {
        try
        {
            directory.Delete(recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // Removed already.
        }
    }
}

/// <summary>The sponsor of `--embedded` could not be started. The message is one line for the user.</summary>
internal sealed class EmbeddedSponsorException(string message) : Exception(message);
