using System.Diagnostics;
using System.Text.Json;
using Hecatonchire.Pager;

namespace Hecatonchire.Tests.Harness;

/// <summary>A real heca-sponsor on loopback with ports and keys of its own, ended with the test.</summary>
internal sealed class SponsorProcess : IDisposable
{
    private readonly string _keys = Directory.CreateTempSubdirectory("heca-test-keys-").FullName;
    private readonly Process _process;

    public SponsorProcess(string memory, params string[] more)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "heca-sponsor"))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string argument in (string[])["--listen", "127.0.0.1", "--port", "0", "--data-port", "0", "--memory", memory,
            "--keys", _keys, "--announce", "--exit-with-stdin", .. more])
        {
            start.ArgumentList.Add(argument);
        }

        _process = Process.Start(start)!;
        string line = _process.StandardOutput.ReadLine()
            ?? throw new InvalidOperationException("heca-sponsor did not start: " + _process.StandardError.ReadToEnd());
        using JsonDocument ready = JsonDocument.Parse(line);
        Endpoint = new SponsorEndpoint("127.0.0.1", ready.RootElement.GetProperty("control_port").GetInt32(),
            ready.RootElement.GetProperty("public_key").GetString()!);
    }

    public SponsorEndpoint Endpoint { get; }

    public void Kill()
    {
        _process.Kill();
        _process.WaitForExit();
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
