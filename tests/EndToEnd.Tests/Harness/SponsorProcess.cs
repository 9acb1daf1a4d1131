using System.Diagnostics;
using System.Text.Json;
using Hecatonchire.Pager;

namespace Hecatonchire.Tests.Harness;

/// <summary>A real heca-sponsor with ports and keys of its own, on loopback or in a namespace, ended with the test.</summary>
internal sealed class SponsorProcess : IDisposable
{
    private static int s_hosts;

    private readonly string _keys = Directory.CreateTempSubdirectory("heca-test-keys-").FullName;
    private readonly string _memory;
    private readonly string[] _more;
    private readonly SponsorNamespace? _host;
    private Process _process = null!;
    private OutputTail _told = null!;

    public SponsorProcess(string memory, params string[] more)
        : this(null, memory, more)
    {
    }

    /// <param name="host">Where it runs, which outlives it; null: here.</param>
    /// <param name="memory">What it lends.</param>
    /// <param name="more">Options besides.</param>
    public SponsorProcess(SponsorNamespace? host, string memory, params string[] more)
    {
        // Each stands for a host of its own, unless a test has several on one.
        string[] label = more.Any(option => option.StartsWith("host=", StringComparison.Ordinal)) ? [] : ["--label", $"host=test-{Interlocked.Increment(ref s_hosts)}"];
        (_host, _memory, _more) = (host, memory, [.. more, .. label]);
        (Endpoint, DataPort) = Start(0, 0);
    }

    public SponsorEndpoint Endpoint { get; }

    public int DataPort { get; }

    /// <summary>HOST:PORT.</summary>
    public string Name => $"{Endpoint.Host}:{Endpoint.Port}";

    /// <summary>The file with the key that says what it offers.</summary>
    public string AdminKey => Path.Combine(_keys, "sponsor.admin");

    public int Id => _process.Id;

    /// <summary>The last that it has said on standard error, since it was started last.</summary>
    public string Told => _told.Text;

    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
    }

    /// <summary>Ends it as an operator does.</summary>
    public void Stop()
    {
        Xunit.Assert.Equal(0, Interop.Libc.Kill(_process.Id, Interop.Libc.SIGTERM));
        Xunit.Assert.True(_process.WaitForExit(TimeSpan.FromSeconds(20)), "heca-sponsor does not end");
    }

    /// <summary>After <see cref="Kill"/>: another process with the same key on the same ports.</summary>
    public void StartAgain()
    {
        _process.Dispose();
        Xunit.Assert.Equal((Endpoint, DataPort), Start(Endpoint.Port, DataPort));
    }

    private (SponsorEndpoint Endpoint, int DataPort) Start(int port, int dataPort)
    {
        string program = Programs.Sponsor, address = _host?.Address ?? "127.0.0.1";
        ProcessStartInfo start = _host?.Starting(program) ?? new ProcessStartInfo(program);
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        foreach (string argument in (string[])["--listen", address, "--port", $"{port}", "--data-port", $"{dataPort}",
            "--memory", _memory, "--keys", _keys, "--announce", "--exit-with-stdin", .. _more])
        {
            start.ArgumentList.Add(argument);
        }

        _process = Process.Start(start)!;
        string line = _process.StandardOutput.ReadLine()
            ?? throw new InvalidOperationException("heca-sponsor did not start: " + _process.StandardError.ReadToEnd());
        _told = new OutputTail(_process.StandardError);
        using JsonDocument ready = JsonDocument.Parse(line);
        return (
            new SponsorEndpoint(address, ready.RootElement.GetProperty("control_port").GetInt32(),
                ready.RootElement.GetProperty("public_key").GetString()!),
            ready.RootElement.GetProperty("data_port").GetInt32());
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.Close();
            if (!_process.WaitForExit(5000))
            {
                _process.Kill();
            }
        }

        _process.Dispose();
        Directory.Delete(_keys, recursive: true);
    }
}
