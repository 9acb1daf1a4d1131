using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Hecatonchire.Lending;
using Hecatonchire.Pager;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Rdma;

namespace Hecatonchire.Cli;

/// <summary>
/// A heca-sponsor on this host that belongs to this run: on loopback, or where RDMA is asked for on an address of its device; any ports, keys of its own in a private directory, stopped when
/// its standard input ends, so that it does not outlive us however we end.
/// </summary>
internal sealed class EmbeddedSponsor : ISponsorSource
{
    /// <summary>It only binds two ports and makes a key pair; longer than this it hangs.</summary>
    private static readonly TimeSpan s_startTimeMax = TimeSpan.FromSeconds(60);

    private static readonly TimeSpan s_stopTimeMax = TimeSpan.FromSeconds(5);

    /// <summary>
    /// A ^C in its first moments, until it has left our process group, ends it as it is meant to end us: 128 + SIGHUP, SIGINT,
    /// SIGQUIT and SIGTERM.
    /// </summary>
    private static readonly int[] Interruptions = [129, 130, 131, 143];

    private readonly Process _process;
    private readonly DirectoryInfo _keys;

    private EmbeddedSponsor(Process process, DirectoryInfo keys, SponsorEndpoint endpoint)
    {
        _process = process;
        _keys = keys;
        Endpoint = endpoint;
    }

    public SponsorEndpoint Endpoint { get; }

    public Borrowing Borrowing => Borrowing.From(Endpoint);

    public int ProcessId => _process.Id;

    /// <summary>Processor time of the sponsor so far.</summary>
    public TimeSpan CpuTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <exception cref="CommandException">RDMA is asked for and there is none, there is no heca-sponsor, or it did not become ready; its own line went to standard error.</exception>
    public static EmbeddedSponsor Start(long bytes, TransportPreference transport)
    {
        IPAddress address = transport == TransportPreference.Rdma ? DeviceAddress() : IPAddress.Loopback;
        string program = Find("heca-sponsor");
        DirectoryInfo keys = Directory.CreateTempSubdirectory("heca-keys-");
        Process? process = null;
        try
        {
            process = Process.Start(StartInfo(program, address, transport, bytes, keys.FullName))
                ?? throw new CommandException($"starting {program} failed", ExitStatus.Failed);
            return new EmbeddedSponsor(process, keys, ReadAnnouncement(process, address));
        }
        catch
        {
            Stop(process, keys);
            throw;
        }
    }

    public void Dispose() => Stop(_process, _keys);

    private static IPAddress DeviceAddress() => RdmaHost.Missing() is { } missing
        ? throw new CommandException($"--transport rdma: {missing}", ExitStatus.HostCannot)
        : RdmaHost.Address() ?? throw new CommandException(
            "--transport rdma: no RDMA device has an interface with an IPv4 address, and devices do not serve loopback", ExitStatus.HostCannot);

    private static ProcessStartInfo StartInfo(string program, IPAddress address, TransportPreference transport, long bytes, string keys)
    {
        string[] arguments =
        [
            "--listen", address.ToString(), "--transport", transport.Name(), "--port", "0", "--data-port", "0", "--memory", bytes.ToString(CultureInfo.InvariantCulture),
            // Nobody else could take what it would ask back.
            "--keys", keys, "--announce", "--exit-with-stdin", "--pressure-max", "0",
        ];
        var start = new ProcessStartInfo(program, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };

        // Options of a sponsor that the user runs as a service are not meant for this one.
        foreach (string name in start.Environment.Keys.Where(k => k.StartsWith("HECA_SPONSOR_", StringComparison.Ordinal)).ToArray())
        {
            start.Environment.Remove(name);
        }

        return start;
    }

    private static SponsorEndpoint ReadAnnouncement(Process process, IPAddress address)
    {
        Task<string?> line = process.StandardOutput.ReadLineAsync();
        if (!line.Wait(s_startTimeMax))
        {
            throw new CommandException($"heca-sponsor was not ready after {s_startTimeMax.TotalSeconds} s", ExitStatus.Failed);
        }

        if (line.Result is not { } text)
        {
            process.WaitForExit();
            if (Interruptions.Contains(process.ExitCode))
            {
                throw new CommandException("interrupted", process.ExitCode);
            }

            throw new CommandException(
                $"heca-sponsor ended with status {process.ExitCode} before it was ready",
                process.ExitCode is ExitStatus.HostCannot ? ExitStatus.HostCannot : ExitStatus.Failed);
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            return new SponsorEndpoint(
                address.ToString(),
                document.RootElement.GetProperty("control_port").GetInt32(),
                document.RootElement.GetProperty("public_key").GetString()!);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new CommandException($"heca-sponsor announced itself with '{text}': not of the same build? ({e.Message})", ExitStatus.Failed);
        }
    }

    private static void Stop(Process? process, DirectoryInfo keys)
    {
        if (process is not null)
        {
            try
            {
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // It is gone already.
            }

            if (!process.WaitForExit(s_stopTimeMax))
            {
                process.Kill();
                process.WaitForExit();
            }

            process.Dispose();
        }

        keys.Delete(recursive: true);
    }

    /// <summary>Beside our own program, else where a build of the same tree leaves it, else whatever PATH has.</summary>
    private static string Find(string name)
    {
        var here = new DirectoryInfo(AppContext.BaseDirectory);
        string built = Path.Combine("Sponsor", "bin", here.Parent?.Name ?? "", here.Name, name);
        string[] candidates =
        [
            Path.Combine(here.FullName, name),
            Path.GetFullPath(Path.Combine(here.FullName, "..", "..", "..", "..", built)),
            Path.GetFullPath(Path.Combine(here.FullName, "..", "..", "..", "..", "..", "src", built)),
        ];
        return candidates.FirstOrDefault(File.Exists) ?? name;
    }
}
