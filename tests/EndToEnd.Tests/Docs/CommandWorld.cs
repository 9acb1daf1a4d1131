using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using Hecatonchire.Control.ZeroMq;
using Hecatonchire.Interop;
using Hecatonchire.Tests.Deploy;
using Hecatonchire.Tests.Harness;

namespace Hecatonchire.Tests.Docs;

/// <summary>
/// What a reader has who types what documents show: a folder with the programs under bin/ and the files that they name, two sponsors in an etcd, a pager of the host, and a program
/// that runs under it. One for all commands.
/// </summary>
internal sealed class CommandWorld : IDisposable
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("heca-shown-").FullName;
    private readonly EtcdServer _etcd = new();
    private readonly SponsorProcess _a, _b, _own = new("16GiB");
    private readonly CurveKeyPair _farm = CurveKeyPair.Create();
    private readonly List<Process> _started = [];
    private int _daemons;

    /// <param name="program">The C program of README.</param>
    public CommandWorld(string program)
    {
        _a = new SponsorProcess("64GiB", "--etcd", _etcd.Url, "--label", "rack=a");
        _b = new SponsorProcess("64GiB", "--etcd", _etcd.Url, "--label", "rack=b");
        _ = Directory.CreateSymbolicLink(At("bin"), Path.GetDirectoryName(Programs.Heca)!);
        _ = Directory.CreateSymbolicLink(At("native"), Path.Combine(Programs.Root, "native"));
        _ = File.CreateSymbolicLink(At("heca-sample"), Programs.Sample);
        File.WriteAllText(At("program.c"), program);
        foreach ((string name, string text) in (IEnumerable<(string, string)>)[
            ("sponsor.public", _a.Endpoint.PublicKey), ("a.public", _a.Endpoint.PublicKey), ("b.public", _b.Endpoint.PublicKey),
            ("alice.public", CurveKeyPair.Create().PublicZ85), ("farm.public", _farm.PublicZ85)])
        {
            File.WriteAllText(At(name), text);
        }

        File.Copy(_a.AdminKey, At("a.admin"));
        File.Copy(_b.AdminKey, At("b.admin"));
        _ = StartDaemon($"heca pager --sponsor {_own.Name} --sponsor-key '{_own.Endpoint.PublicKey}'", Runtime);
        Process running = Start($"heca run --local 8MiB -- {Programs.Test} idle 16", Runtime);
        Xunit.Assert.Equal("ready", running.StandardOutput.ReadLine());
        Own = new Dictionary<string, string>
        {
            ["@sponsor-a"] = _a.Name,
            ["@sponsor-b"] = _b.Name,
            ["@etcd"] = _etcd.Url,
            ["@segment"] = SegmentOf(),
            ["@farm-key"] = _farm.PublicZ85,
            ["@next-year"] = DateTime.UtcNow.AddYears(1).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
        };
    }

    /// <summary>What is this world's own of what <see cref="CommandRules.Substitutions"/> put in.</summary>
    public IReadOnlyDictionary<string, string> Own { get; }

    private string Runtime => At("run");

    /// <summary>As it is run here.</summary>
    public string Substitute(string command) => Own.Aggregate(
        CommandRules.Substitutions.Aggregate(command, (text, one) => Regex.Replace(text, one.Pattern, one.Replacement, RegexOptions.CultureInvariant)),
        (text, own) => text.Replace(own.Key, own.Value, StringComparison.Ordinal));

    /// <summary>To its end. What is wrong, with what it said; null: nothing.</summary>
    public string? Run(string command, int status)
    {
        Process process = Start(command, Runtime);
        process.StandardInput.Close();
        (Task<string> output, Task<string> error) = (process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        return !process.WaitForExit(s_deadline) ? $"does not end within {s_deadline.TotalSeconds} s"
            : process.ExitCode != status ? $"ended with {process.ExitCode} in place of {status}: {error.Result.Trim()} {output.Result.Trim()}"
            : status != 0 && error.Result.Length == 0 ? "does not say why it failed" : null;
    }

    /// <summary>A daemon, from its start to its end. As <see cref="Run"/>.</summary>
    public string? Serve(string command)
    {
        try
        {
            Process daemon = StartDaemon(command, At($"run-{_daemons}"));
            _ = Libc.Kill(daemon.Id, Libc.SIGTERM);
            return !daemon.WaitForExit(s_deadline) ? "does not end when it is told to" : daemon.ExitCode != 0 ? $"ended with {daemon.ExitCode}: {daemon.StandardError.ReadToEnd()}" : null;
        }
        catch (IOException failure)
        {
            return failure.Message;
        }
    }

    public string WriteFile(string name, IEnumerable<string> lines)
    {
        File.WriteAllLines(At(name), lines);
        return At(name);
    }

    public void Dispose()
    {
        foreach (Process process in Enumerable.Reverse(_started))
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
                process.WaitForExit();
            }

            process.Dispose();
        }

        _own.Dispose();
        _a.Dispose();
        _b.Dispose();
        _etcd.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private string At(string name) => Path.Combine(_folder, name);

    /// <summary>Returns when it has told its service manager that it is ready. Throws <see cref="IOException"/> with what it said where it ends instead.</summary>
    private Process StartDaemon(string command, string runtime)
    {
        using var manager = new NotifySocket(At($"notify-{_daemons++}"));
        Process daemon = Start($"exec {command}", runtime, ("NOTIFY_SOCKET", manager.Path));
        return manager.AwaitThatBegins("READY=1", daemon)
            ? daemon
            : throw new IOException($"'{command}' is not ready: {(daemon.HasExited ? daemon.StandardError.ReadToEnd().Trim() : "it says nothing")}");
    }

    /// <summary>By a shell, in the folder, as a user of it would; a daemon's ports and keys are its own, whatever this host has.</summary>
    private Process Start(string command, string runtime, params IEnumerable<(string Name, string Value)> more)
    {
        var start = new ProcessStartInfo("/bin/bash", ["-c", command])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = _folder,
        };
        foreach ((string name, string value) in (IEnumerable<(string, string)>)[
            ("PATH", $"{At("bin")}:{Environment.GetEnvironmentVariable("PATH")}"), ("HECA_RUNTIME_DIR", runtime), ("HECA_SPONSOR_KEY", _a.Endpoint.PublicKey),
            ("HECA_SPONSOR_PORT", "0"), ("HECA_SPONSOR_DATA_PORT", "0"), ("HECA_SPONSOR_KEYS", At($"keys-{_daemons}")), .. more])
        {
            start.Environment[name] = value;
        }

        _ = Directory.CreateDirectory(runtime);
        Process process = Process.Start(start)!;
        _started.Add(process);
        return process;
    }

    private string SegmentOf()
    {
        using Process list = Start("heca segment list --json", Runtime);
        using var found = JsonDocument.Parse(list.StandardOutput.ReadToEnd());
        _ = list.WaitForExit(s_deadline);
        _ = _started.Remove(list);
        return found.RootElement[0].GetProperty("id").GetString()!;
    }
}
