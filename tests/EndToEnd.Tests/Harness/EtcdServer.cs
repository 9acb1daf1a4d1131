using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using Hecatonchire.Membership;

namespace Hecatonchire.Tests.Harness;

/// <summary>Debian's etcd-server on loopback, with nothing in it; ended with the test.</summary>
internal sealed class EtcdServer : IDisposable
{
    private const string Program = "/usr/bin/etcd";

    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly string _url = $"http://127.0.0.1:{FreePort()}";
    private readonly string _peer = $"http://127.0.0.1:{FreePort()}";
    private DirectoryInfo? _data;
    private Process? _process;

    public EtcdServer()
    {
        Capability.Require("etcd", File.Exists(Program), "no /usr/bin/etcd: apt-get install etcd-server");
        Start();
    }

    /// <summary>As `--etcd` takes it.</summary>
    public string Url => _url;

    public EtcdAddress Address => EtcdAddress.From([_url], out _)!;

    public void Kill()
    {
        _process!.Kill();
        _process.WaitForExit();
    }

    /// <summary>After <see cref="Kill"/>: at the same place, having lost whatever was in it, which is more than a minute's absence does.</summary>
    public void StartAgainEmpty()
    {
        _process!.Dispose();
        _data!.Delete(recursive: true);
        Start();
    }

    public void Dispose()
    {
        if (_process is not null)
        {
            Kill();
            _process.Dispose();
        }

        _data?.Delete(recursive: true);
    }

    private void Start()
    {
        _data = Directory.CreateTempSubdirectory("heca-test-etcd-");
        var start = new ProcessStartInfo(Program,
        [
            "--data-dir", _data.FullName, "--listen-client-urls", _url, "--advertise-client-urls", _url, "--listen-peer-urls", _peer,
            "--initial-advertise-peer-urls", _peer, "--initial-cluster", $"default={_peer}", "--log-level", "error",
        ]);
        start.RedirectStandardError = start.RedirectStandardOutput = true;
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("ETCD_", StringComparison.Ordinal)).ToArray())
        {
            _ = start.Environment.Remove(name);
        }

        _process = Process.Start(start)!;
        _process.ErrorDataReceived += static (_, _) => { };
        _process.OutputDataReceived += static (_, _) => { };
        _process.BeginErrorReadLine();
        _process.BeginOutputReadLine();
        using var client = new HttpClient();
        Xunit.Assert.True(SpinWait.SpinUntil(() => IsHealthy(client), s_deadline), "etcd does not come to be healthy");
    }

    private bool IsHealthy(HttpClient client)
    {
        Xunit.Assert.False(_process!.HasExited, "etcd does not start");
        try
        {
            return client.GetStringAsync(_url + "/health").GetAwaiter().GetResult().Contains("\"true\"", StringComparison.Ordinal);
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
