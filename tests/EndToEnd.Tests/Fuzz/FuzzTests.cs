using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Hecatonchire.Control;
using Hecatonchire.Control.Keys;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Status;
using Hecatonchire.Tests.Harness;
using Hecatonchire.Transport;
using Hecatonchire.Transport.Tcp;
using Hecatonchire.Units;
using Xunit;

namespace Hecatonchire.Tests.Fuzz;

/// <summary>
/// Malformed frames at every listener of both daemons at once, from one seed, while a program runs that verifies its pages: it notices nothing, and nothing is left of them.
/// HECA_FRAMES says how many at each (`make fuzz`: a million), HECA_SEED which.
/// </summary>
public sealed unsafe class FuzzTests : IDisposable
{
    private const int FramesDefault = 1_000;
    private const long SlabBytes = 64L << 20;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly string _directory = Directory.CreateTempSubdirectory("heca-fuzz-").FullName;
    private readonly int _frames = Number("HECA_FRAMES", FramesDefault);
    private readonly int _seed = Number("HECA_SEED", Random.Shared.Next());
    private readonly int _metrics = FreePort(), _pagerMetrics = FreePort();

    private string Stop => Path.Combine(_directory, "stop");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Malformed_frames_at_every_listener_disturb_no_program_and_leave_nothing_behind()
    {
        TestContext.Current.TestOutputHelper?.WriteLine($"HECA_SEED={_seed} HECA_FRAMES={_frames}");
        (string owner, CurveKeyPair _) = NewKey("alice", "");
        (string other, CurveKeyPair fuzz) = NewKey("fuzz", " quota=64MiB");
        using var sponsor = new SponsorProcess("512MiB", "--trust", Path.Combine(_directory, "trust"), "--metrics", $"127.0.0.1:{_metrics}");
        using SponsorClient demander = SponsorClient.Connect(
            "127.0.0.1", sponsor.Endpoint.Port, sponsor.Endpoint.PublicKey, Guid.NewGuid(), "fuzz", new SponsorClientOptions { RequestTimeout = s_patience, Key = new DemanderKey(other) });
        ulong slab = demander.AllocateSlab(SlabBytes).Slab;
        Touch(demander, slab, sponsor.DataPort);
        using var messages = new Listeners.Messages(sponsor.Endpoint.Port, sponsor.Endpoint.PublicKey, fuzz);
        (string, Malformed)[] ofSponsor =
        [
            ("data", Listeners.Data(demander, slab, sponsor.DataPort)), ("control", messages.Send), ("control bytes", Listeners.ControlBytes(sponsor.Endpoint.Port)), ("metrics", Listeners.Http(_metrics)),
        ];
        Send(ofSponsor, _frames / 4, _seed ^ 1);
        Footprint sponsorBefore = Footprint.Of(sponsor.Id);

        using Process heca = Start(sponsor, owner);
        Task<string> output = heca.StandardOutput.ReadToEndAsync(), error = heca.StandardError.ReadToEndAsync();
        HecaRun.WaitUntilRemote(heca.Id, 8 << 20, _directory);
        (string, Malformed)[] ofPager =
        [
            ("pager's metrics", Listeners.Http(_pagerMetrics)), ("status", Listeners.Unix(Path.Combine(_directory, $"{heca.Id}.sock"), "{}"u8.ToArray())),
            ("segments", Listeners.Unix(Path.Combine(_directory, $"{heca.Id}.segments"), """{"resize": {"id": "00112233445566778899aabbccddeeff", "bytes": 1048576, "change": "grow"}}"""u8.ToArray())),
            ("handover", Listeners.Handover(HandoverOf(heca))),
        ];
        Send(ofPager, _frames / 4, _seed ^ 2);
        Footprint pagerBefore = Footprint.Of(heca.Id);

        Send([.. ofSponsor, .. ofPager], _frames, _seed);

        Assert.False(heca.HasExited, $"{Replay}: heca run has ended: {(heca.HasExited ? Said(error) : "")}");
        AssertSame(heca.Id, pagerBefore, "heca run");
        File.WriteAllText(Stop, "");
        Assert.True(heca.WaitForExit(s_patience), $"{Replay}: the program hangs");
        Assert.True(heca.ExitCode == 0, $"{Replay}: the program ended with {heca.ExitCode}: {Said(error)}");
        Assert.True(int.Parse(Said(output).Split('\n')[^1], CultureInfo.InvariantCulture) > 0, $"{Replay}: the program verified nothing");
        AssertSame(sponsor.Id, sponsorBefore, "heca-sponsor");
        Assert.Equal(slab, Assert.Single(demander.ListSlabs()).Slab);
    }

    private static string Said(Task<string> stream) => stream.WaitAsync(s_patience).GetAwaiter().GetResult().Trim();

    private string Replay => $"HECA_SEED={_seed} HECA_FRAMES={_frames}";

    /// <summary>A thread for each listener, so that none waits for the slowest.</summary>
    private void Send((string Name, Malformed Peer)[] listeners, int frames, int seed)
    {
        var failures = new string?[listeners.Length];
        Thread[] threads =
        [
            .. listeners.Select((listener, i) => new Thread(() =>
            {
                var random = new Random(seed + i);
                int sent = 0;
                try
                {
                    while (sent < frames)
                    {
                        sent += listener.Peer(random);
                    }
                }
#pragma warning disable CA1031 // shown below
                catch (Exception failure)
#pragma warning restore CA1031
                {
                    failures[i] = $"{Replay}: {listener.Name}, after {sent} frames: {failure}";
                }
            })),
        ];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        Assert.True(failures.All(failure => failure is null), string.Join('\n', failures.OfType<string>()));
    }

    /// <summary>What is on its way out is waited for.</summary>
    private void AssertSame(int process, Footprint before, string name)
    {
        string? grown = "";
        Assert.True(SpinWait.SpinUntil(() => (grown = Footprint.Of(process).GrownSince(before)) is null, TimeSpan.FromSeconds(20)), $"{Replay}: {name}: {grown}");
    }

    private Process Start(SponsorProcess sponsor, string key)
    {
        // A test that is killed tells nobody to stop.
        string script = $"n=0; while [ ! -e {Stop} ] && kill -0 {Environment.ProcessId}; do {Programs.Test} walk 32 2 20000 >&2 || exit 9; n=$((n+1)); done; echo $n";
        var start = new ProcessStartInfo(
            Programs.Heca,
            ["run", .. HecaRun.Naming([sponsor]), "--key", key, "--local", "8MiB", "--capture", "no", "--log-level", "none", "--metrics", $"127.0.0.1:{_pagerMetrics}", "--", "/bin/sh", "-c", script])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment[StatusDirectory.Environment] = _directory;
        return Process.Start(start)!;
    }

    /// <summary>The socket that its program's libheca connects to, as the program's environment has it.</summary>
    private static string HandoverOf(Process heca)
    {
        string child = File.ReadAllText($"/proc/{heca.Id}/task/{heca.Id}/children").Split(' ')[0];
        if (child.Length == 0)
        {
            child = Directory.EnumerateDirectories($"/proc/{heca.Id}/task").Select(task => File.ReadAllText(Path.Combine(task, "children")).Split(' ')[0]).First(found => found.Length > 0);
        }

        const string Name = "HECA_SOCKET=";
        return File.ReadAllText($"/proc/{child}/environ").Split('\0').First(line => line.StartsWith(Name, StringComparison.Ordinal))[Name.Length..];
    }

    /// <summary>All of its pages are there, or the memory would grow by those that are written to.</summary>
    private static void Touch(SponsorClient demander, ulong slab, int port)
    {
        const int Run = 256;
        using TcpDataConnection connection = TcpDataConnection.Connect(new IPEndPoint(IPAddress.Loopback, port), demander.Demander, demander.RequestToken().Token, s_patience);
        byte[] zeros = GC.AllocateArray<byte>(Run * PageSize.Bytes, pinned: true);
        DataCompletion[] ended = new DataCompletion[1];
        fixed (byte* memory = zeros)
        {
            for (uint slot = 0; slot < SlabBytes / PageSize.Bytes; slot += Run)
            {
                Assert.True(connection.TryPostWrite(1, slab, slot, Run, memory));
                connection.Submit();
                Assert.True(SpinWait.SpinUntil(() => connection.Poll(ended) > 0, s_patience));
                Assert.Equal(DataStatus.Done, ended[0].Status);
            }
        }
    }

    private (string Path, CurveKeyPair Keys) NewKey(string name, string more)
    {
        CurveKeyPair keys = CurveKeyPair.Create();
        string path = Path.Combine(_directory, $"{name}.secret"), trust = Path.Combine(_directory, "trust");
        KeyFile.Write(path, keys.SecretZ85, KeyFile.SecretMode, overwrite: true, "");
        KeyFile.Write(trust, $"{(File.Exists(trust) ? File.ReadAllText(trust) : "")}{name} {keys.PublicZ85}{more}", KeyFile.PublicMode, overwrite: true, "");
        return (path, keys);
    }

    private static int Number(string variable, int otherwise) =>
        Environment.GetEnvironmentVariable(variable) is { Length: > 0 } given ? int.Parse(given, CultureInfo.InvariantCulture) : otherwise;

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
