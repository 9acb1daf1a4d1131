using System.Diagnostics;
using System.Text.Json;
using Hecatonchire.Tests.Harness;

namespace Hecatonchire.Tests.Consistency;

/// <summary>A heca-checker (native/tests/checker) under the host's pager.</summary>
internal sealed class CheckedProgram : IDisposable
{
    private readonly Process _run;
    private readonly string _runtime;
    private readonly OutputTail _error;
    private volatile string _progress = "";
    private volatile string? _wrong;
    private volatile bool _isCalm;
    private volatile bool _isOk;

    /// <param name="kind">asked or captured.</param>
    /// <param name="local">How much of its memory may be here.</param>
    /// <param name="runtime">HECA_RUNTIME_DIR.</param>
    /// <param name="arguments">Of the checker.</param>
    public CheckedProgram(string kind, string local, string runtime, params string[] arguments)
    {
        (Kind, _runtime) = (kind, runtime);
        var start = new ProcessStartInfo(Programs.Heca, ["run", "--local", local, "--stats", "--", Programs.Checker(kind), .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["HECA_RUNTIME_DIR"] = runtime;
        _run = Process.Start(start)!;
        Output = new OutputTail(_run.StandardOutput, Note);
        _error = new OutputTail(_run.StandardError);
    }

    public string Kind { get; }

    public bool IsCaptured => Kind == "captured";

    public OutputTail Output { get; }

    /// <summary>What it did so far, in its own words.</summary>
    public string Progress => _progress;

    /// <summary>It has not forked since <see cref="Calm"/>.</summary>
    public bool IsCalm => _isCalm;

    /// <summary>It has ended, and all that it has read was as it had to be.</summary>
    public bool IsOk => _isOk && _run.HasExited;

    public int ExitCode => _run.ExitCode;

    /// <summary>Why it is not as it should be; null: it is.</summary>
    public string? Problem => _wrong ?? (_run.HasExited && !_isOk ? $"the {Kind} program ended with {_run.ExitCode}" : null);

    /// <summary>What `heca status` says of it; null where nobody answers.</summary>
    public JsonElement? Status => HecaRun.Ask(Path.Combine(_runtime, $"{_run.Id}.sock"));

    public string Describe() => $"--- the {Kind} program\n{Output.Text}\n{_error.Text}\n{Status}";

    public void Calm() => Say("calm");

    public void Go()
    {
        _isCalm = false;
        Say("go");
    }

    /// <summary>It reads all of its memory once more, and ends.</summary>
    public void End() => _run.StandardInput.Close();

    public void Dispose()
    {
        if (!_run.HasExited)
        {
            _run.Kill(entireProcessTree: true);
            _run.WaitForExit();
        }

        _run.Dispose();
    }

    private void Say(string line)
    {
        try
        {
            _run.StandardInput.WriteLine(line);
        }
        catch (IOException)
        {
            // It has ended; that is its problem.
        }
    }

    private void Note(string line)
    {
        switch (line)
        {
            case "calm":
                _isCalm = true;
                break;
            case "ok":
                _isOk = true;
                break;
            case { } when line.StartsWith("WRONG", StringComparison.Ordinal):
                _wrong ??= line;
                break;
            case { } when line.Contains(" operations, ", StringComparison.Ordinal):
                _progress = line;
                break;
        }
    }
}
